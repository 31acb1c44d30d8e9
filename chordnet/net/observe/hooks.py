"""Callbacks of the embedding program."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from chordnet.core.base.effects import (
    FingersChanged,
    Joined,
    LeftRing,
    Misbehaved,
    PeerDied,
    PeersKnown,
    Record,
    RingChanged,
    StatusChanged,
    Traced,
)
from chordnet.core.base.errors import LocalProtocolError
from chordnet.net.base.arguments import CALL, shown
from chordnet.net.base.callbacks import call
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.wire.rpc import MessageRecord

EVENTS: tuple[type, ...] = (
    StatusChanged,
    Joined,
    RingChanged,
    FingersChanged,
    PeerDied,
    PeersKnown,
    Misbehaved,
    LeftRing,
    Record,
    Traced,
    MessageRecord,
)
"""The events that a program can subscribe to."""
MAX_WAITING = 256
"""Events that wait for one subscription's coroutine; a message has up to 64 KiB."""


class Subscription:
    """One callback; :meth:`stop` ends it."""

    def __init__(
        self, entries: dict[Subscription, None], callback: Callable[[Any], object], journal: Journal
    ) -> None:
        self._entries = entries
        self._callback = callback
        self._journal = journal
        self._waiting: deque[object] = deque()
        self._busy = False
        entries[self] = None

    def stop(self) -> None:
        """Stop calling the callback; stopping twice is fine."""
        self._entries.pop(self, None)
        self._waiting.clear()

    def tell(self, event: object) -> None:
        """Call back with ``event`` when the callback is done with those before."""
        if not self._busy:
            self._call(event)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(event)
        else:
            self._journal.counters.add(NetMetric.CALLBACK_ERRORS)
            self._journal.error(
                "a callback for {name} has fallen {count} events behind and is no longer called; "
                "subscribe with since=..., which reads as fast as the callback goes",
                name=type(event).__name__,
                count=MAX_WAITING,
            )
            self.stop()

    def _call(self, event: object) -> None:
        def failed(failure: Failure) -> None:
            name = type(event).__name__
            self._journal.failure(
                NetMetric.CALLBACK_ERRORS, f"a callback for {name} failed", failure
            )

        over = call(self._callback, (event,), failed)
        if over is not None:
            self._busy = True
            over.addCallback(self._go_on)

    def _go_on(self, _none: object) -> None:
        self._busy = False
        while self._waiting and not self._busy:
            self._call(self._waiting.popleft())


class Hooks:
    """Callbacks by the type of what happened. One that raises is logged and counted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._entries: dict[type, dict[Subscription, None]] = {}

    def on(self, event_type: type, callback: Callable[[Any], object]) -> Subscription:
        """Have ``callback`` called with every event of exactly this type.

        :raises LocalProtocolError: there are no such events, or ``callback`` is not a function.
        """
        if event_type not in EVENTS:
            names = ", ".join(kind.__name__ for kind in EVENTS)
            raise LocalProtocolError(
                f"{shown(event_type)} is not a class of events; there are {names},"
                " which can be imported from chordnet"
            )
        CALL.function("callback", callback)
        return Subscription(self.of(event_type), callback, self._journal)

    def of(self, event_type: type) -> dict[Subscription, None]:
        """Return the subscriptions to events of this type, always the same dictionary."""
        return self._entries.setdefault(event_type, {})

    def wanted(self, event_type: type) -> bool:
        """Return True if there is a callback for events of this type."""
        return bool(self._entries.get(event_type))

    def fire(self, event: object) -> None:
        """Call every callback for the type of ``event``."""
        for subscription in list(self._entries.get(type(event), ())):
            subscription.tell(event)
