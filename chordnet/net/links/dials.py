"""Which dials are under way, which wait for their turn, and which for a pause to end.

A link has at most one dial. After a failed dial it pauses, twice as long each time up to a limit.
The pause varies at random, so that the nodes of a network that lost one of them do not dial it in
step. The number of simultaneous dials is limited; further ones wait in a queue.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime

from chordnet.core.base.events import LinkFault
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.dialler import Dial
from chordnet.net.links.links import Link
from chordnet.net.links.protocol import Connection, Handler
from chordnet.wire.greeting import Refuse, Welcome

Greeted = Callable[[Link, Connection, Welcome], Handler]
Failed = Callable[[Link, LinkFault, str, Refuse | None], None]


class Dials:
    """All dials of one node.

    :param make: makes a :class:`Dial` from ``address``, ``greeted`` and ``failed``.
    :param greeted: called when a greeting was answered; returns the connection's next handler.
    :param failed: called for a failed dial whose link still has no connection.
    """

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        limits: NetworkLimits,
        rng: random.Random,
        make: Callable[..., Dial],
        greeted: Greeted,
        failed: Failed,
    ) -> None:
        self._clock = clock
        self._turn = turn
        self._limits = limits
        self._rng = rng
        self._make = make
        self._greeted = greeted
        self._failed = failed
        self._line: deque[Link] = deque()
        self.under_way = 0
        self.made = 0

    def want(self, link: Link) -> None:
        """Dial as soon as the limit on dials allows it."""
        if link.dialled:
            return
        if self.under_way >= self._limits.max_dials:
            link.line_up()
            self._line.append(link)
            return
        self.under_way += 1
        self.made += 1
        dial = self._make(
            address=link.node.address,
            greeted=partial(self._was_greeted, link),
            failed=partial(self._has_failed, link),
        )
        link.begin_dial(dial)
        dial.start()

    def pause(self, link: Link) -> None:
        """Delay the next dial of ``link``, unless one is under way already."""
        if link.dialled:
            return
        # Without the cap on the exponent the power would at last be too large for a float.
        pause = self._limits.redial_min_s * 2 ** min(link.failures, 16)
        longest = self._limits.redial_told_max_s if link.told else self._limits.redial_max_s
        pause = min(pause, longest) * self._rng.uniform(0.75, 1.25)
        link.failures += 1
        link.begin_pause(self._clock.callLater(pause, self._pause_over, link))

    def end_pause(self, link: Link) -> None:
        """Allow a dial again immediately, if ``link`` is paused."""
        if link.pause is not None:
            link.pause.cancel()
            link.end_pause()

    def reached(self, link: Link) -> None:
        """End the pause, and a dial that has not sent its greeting: the peer was reached.

        A dial that has sent it may have been accepted; the transport decides which of the two
        connections stays.
        """
        link.failures = 0
        self.end_pause(link)
        if link.dial is not None and not link.dial.connected:
            self.cancel(link)

    def cancel(self, link: Link) -> None:
        """Give up the dial of ``link`` and end its pause."""
        self.end_pause(link)
        if link.dial is not None:
            link.dial.cancel()
            link.end_dial()
            self._free()

    def _was_greeted(self, link: Link, connection: Connection, welcome: Welcome) -> Handler:
        link.end_dial()
        try:
            return self._greeted(link, connection, welcome)
        finally:
            self._free()

    def _has_failed(self, link: Link, fault: LinkFault, text: str, refusal: Refuse | None) -> None:
        link.end_dial()
        alone = link.session is None
        # Before others take its place: what they cause may want this link dialled again.
        if alone:
            self.pause(link)
        self._free()
        if alone:
            self._failed(link, fault, text, refusal)

    def _free(self) -> None:
        """Begin dials that wait in the queue, now that one has ended."""
        self.under_way -= 1
        while self._line and self.under_way < self._limits.max_dials:
            waiting = self._line.popleft()
            waiting.leave_line()
            # While it waited, the peer may have called, or its messages may have been dropped.
            if waiting.queue and waiting.session is None:
                self.want(waiting)

    def _pause_over(self, link: Link) -> None:
        link.end_pause()
        if link.queue:
            with self._turn:
                self.want(link)

    def stop(self) -> None:
        """Forget the links that wait in the queue."""
        self._line.clear()
