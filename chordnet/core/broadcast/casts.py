"""The broadcasts that one node knows of: those under way, and a bounded memory of finished ones.

A finished broadcast is kept as a small record for ``broadcast_memory_s``, or as long as it may be
sent again if that is longer: to answer late copies, and to pass it on to a predecessor that has
just come in. Asking for it turns it into a :class:`Cast` under way again.
"""

from __future__ import annotations

from collections.abc import Iterator

from chordnet.core.base.messages import MessageId
from chordnet.core.broadcast.cast import Cast, Finished
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.timers import LEISURE_S, Expiry


class Casts:
    """Broadcasts by message id."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._active: dict[MessageId, Cast] = {}
        self._finished: dict[MessageId, Finished] = {}
        self._finished_bytes = 0
        self.active_bytes = 0
        """About how many bytes those under way take up."""
        # Until its deadline it may be sent again, and would be taken for a new broadcast.
        memory_s = max(ctx.config.broadcast_memory_s, ctx.config.broadcast_deadline_s)
        self.memory: Expiry[MessageId] = Expiry(memory_s, self._finished.__contains__, LEISURE_S)

    def __len__(self) -> int:
        return len(self._active)

    def __iter__(self) -> Iterator[Cast]:
        return iter(list(self._active.values()))

    def add(self, cast: Cast) -> None:
        """Add a broadcast that is under way."""
        self._active[cast.id] = cast
        self.active_bytes += cast.cost

    def active(self, message_id: MessageId) -> Cast | None:
        """Return a broadcast that is under way."""
        return self._active.get(message_id)

    def get(self, message_id: MessageId) -> Cast | None:
        """Return a broadcast; resume it if it is finished."""
        cast = self._active.get(message_id)
        if cast is None and message_id in self._finished:
            past = self._take(message_id)
            if past is not None:
                cast = self._resume(past)
        return cast

    def fresh(self, limit: int) -> list[Cast]:
        """Return the newest broadcasts, finished ones first, and resume those."""
        active = list(self._active.values())
        recent = list(self._finished)[max(0, len(self._finished) + len(active) - limit) :]
        taken = [past for key in recent if (past := self._take(key)) is not None]
        return [*map(self._resume, taken), *active][-limit:]

    def finish(self, cast: Cast) -> None:
        """Move a broadcast to the finished ones if it is idle."""
        if cast.idle and self._active.pop(cast.id, None) is not None:
            self.active_bytes -= cast.cost
            self.keep(cast.finish())

    @property
    def full(self) -> bool:
        """Whether there is no room for another one under way."""
        config = self._ctx.config
        return (
            len(self._active) >= 2 * config.max_casts
            or self.active_bytes >= config.max_active_bytes
        )

    def keep(self, finished: Finished) -> None:
        """Remember a covered broadcast, and forget the oldest ones if there is no room."""
        config = self._ctx.config
        self._finished[finished.id] = finished
        self._finished_bytes += finished.cost
        self.memory.add(finished.id, self._ctx.now)
        while len(self._finished) > config.max_casts or (
            self._finished_bytes > config.max_cast_bytes and len(self._finished) > 1
        ):
            self._take(next(iter(self._finished)))

    def forget(self) -> None:
        """Forget finished broadcasts that have expired."""
        for message_id in self.memory.due(self._ctx.now):
            self._take(message_id)

    def _take(self, message_id: MessageId) -> Finished | None:
        """Remove a finished broadcast and return it; None if there is none."""
        past = self._finished.pop(message_id, None)
        if past is not None:
            self._finished_bytes -= past.cost
        return past

    def _resume(self, past: Finished) -> Cast:
        deadline = self._ctx.now + self._ctx.config.broadcast_deadline_s
        cast = Cast.resumed(past, deadline)
        self.add(cast)
        return cast
