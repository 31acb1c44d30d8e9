"""Callbacks of the embedding program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chordnet.net.journal import Journal


class Subscription:
    """One callback; :meth:`stop` ends it."""

    def __init__(
        self, entries: dict[Subscription, None], callback: Callable[[Any], object]
    ) -> None:
        self._entries = entries
        self.callback = callback
        entries[self] = None

    def stop(self) -> None:
        """Call it no more; stopping twice is fine."""
        self._entries.pop(self, None)


class Hooks:
    """Callbacks by the type of what happened. One that raises is logged and counted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._entries: dict[type, dict[Subscription, None]] = {}

    def on(self, event_type: type, callback: Callable[[Any], object]) -> Subscription:
        """Have ``callback`` called with every event of exactly this type."""
        return Subscription(self._entries.setdefault(event_type, {}), callback)

    def wanted(self, event_type: type) -> bool:
        """Tell whether anybody listens for it."""
        return bool(self._entries.get(event_type))

    def fire(self, event: object) -> None:
        """Call everybody who listens for ``event``'s type."""
        for subscription in list(self._entries.get(type(event), ())):
            try:
                subscription.callback(event)
            except Exception:  # noqa: BLE001 - logged with its traceback
                name = type(event).__name__
                self._journal.failure("callback_errors", f"a callback for {name} failed")
