"""Feeds events to the protocol core and performs its effects.

One event is handled at a time: its effects are performed in the given order before the next event
is taken. An event that an effect causes directly (a failed dial, a callback that publishes) waits
until then. The reactor's timer is moved only when the core's deadline comes nearer; a timer that
fires too early costs less than moving it with every message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chordnet.core.base.effects import Send
from chordnet.core.base.events import Event, LinkDown, LinkFault, Tick
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.interfaces import Core, Transport
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn

_NEVER = float("inf")


@attrs.frozen
class Surroundings:
    """What performs a core's effects."""

    transport: Transport
    """Performs ``Send``, the most frequent effect."""
    performers: dict[type, Callable[[Any], None]]
    """What performs each other type of effect."""
    rest: Callable[[], None]
    """Called after every timer, for work that is better done while no message waits."""


class Runner:
    """Runs one core.

    The surroundings and the runner need each other, since what performs effects also causes events
    (a connection both sends and receives). So a new runner has its surroundings built.

    :param seconds: the core's clock, which never goes back.
    :param surround: builds the surroundings from this runner; it must not post events yet.
    """

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        core: Core,
        journal: Journal,
        seconds: Callable[[], float],
        surround: Callable[[Runner], Surroundings],
    ) -> None:
        self.core = core
        self._seconds = seconds
        self._clock = clock
        self._turn = turn
        self._journal = journal
        self._waiting: deque[Event] = deque()
        self._stepping = False
        self._timer: IDelayedCall | None = None
        self._armed = _NEVER
        self._stopped = False
        around = surround(self)
        self._transport, self._performers = around.transport, around.performers
        self._rest = around.rest
        turn.settle = self._arm

    def down(self, peer: NodeRef, fault: LinkFault, text: str = "", holder: str = "") -> None:
        """Handle the loss of the connection with ``peer``, or a failure to make one."""
        self.post(LinkDown(peer, fault, text, holder))

    def post(self, event: Event) -> None:
        """Handle ``event`` now, or after the one that is being handled."""
        if self._stepping:
            self._waiting.append(event)
            return
        if self._stopped:
            return
        self._stepping = True
        try:
            self._handle(event)
            while self._waiting:
                self._handle(self._waiting.popleft())
        finally:
            self._stepping = False
        # Outside of a turn nothing would flush what was sent, or arm the timer.
        if not self._turn.depth:
            self._turn.touch()

    def _handle(self, event: Event) -> None:
        try:
            effects = self.core.step(event, self._seconds())
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._journal.failure(
                NetMetric.CORE_ERRORS, f"the protocol failed on {type(event).__name__}"
            )
            return
        # One effect that fails must not keep the others from being performed: the core assumes that
        # they all are.
        transport, performers = self._transport, self._performers
        for effect in effects:
            try:
                if type(effect) is Send:
                    transport.send(effect.to, effect.message)
                else:
                    performers[type(effect)](effect)
            except Exception:  # noqa: BLE001 - logged with its traceback
                name = type(effect).__name__
                self._journal.failure(
                    NetMetric.EFFECT_ERRORS, f"the effect {name} could not be performed"
                )

    def _arm(self) -> None:
        # Called after every turn: the cheap lower bound mostly spares the exact deadline.
        if self.core.bound < self._armed and not self._stopped:
            self._wake_at(self.core.deadline)

    def _wake_at(self, deadline: float | None) -> None:
        if deadline is None or deadline >= self._armed:
            return
        self._armed = deadline
        delay = max(0.0, deadline - self._seconds())
        if self._timer is not None:
            self._timer.reset(delay)
        else:
            self._timer = self._clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._armed = _NEVER
        deadline = self.core.deadline
        with self._turn:
            if deadline is not None and deadline <= self._seconds():
                self.post(Tick())
            else:
                # It has moved away since the timer was set, as it does when answers come in time.
                self._wake_at(deadline)
            self._turn.after(self._rest)

    def stop(self) -> None:
        """Handle no more events and cancel the timer."""
        self._stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
