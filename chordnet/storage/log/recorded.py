"""What is recorded, as the message log on disk remembers it.

A row of the ledger's table is needed only for what the kept messages do not tell: that others were
here before, or that nobody keeps them any more. Everything else follows from the messages when the
file is opened. So a message costs one row, and it counts as recorded exactly if it is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import MessageId, Range
from chordnet.core.log.ledger import Ledger
from chordnet.storage.log.kept import KeptNumbers
from chordnet.storage.log.rows import SELECT_LEDGER, UPSERT_LEDGER, ledger_row, ledger_state

ENTER_AT = 512
"""New messages are entered so many at once, which costs a fraction of doing it one by one."""


class Recorded:
    """The ledger of one log, and which of its origins have to be written."""

    def __init__(self) -> None:
        config = ProtocolConfig()
        self._max_origins = config.max_origins
        self._ledger = Ledger(config.max_origins)
        self._new: list[MessageId] = []
        self.kept = KeptNumbers()
        """Which of it is in the log; read :attr:`ledger` before, which enters what is new."""
        self.touched: set[tuple[bytes, int]] = set()
        """Origins of which something is to be written that no message tells."""

    @property
    def ledger(self) -> Ledger:
        """All that is recorded."""
        if self._new:
            new, self._new = self._new, []
            for message_id in new:
                self._ledger.add(message_id)
                self.kept.add(message_id)
        return self._ledger

    def restore(self, db: sqlite3.Connection) -> None:
        """Read the table; :meth:`note` the kept messages after it.

        :raises SpoiledRow: a row is damaged.
        """
        # In the order of starts, for the ledger forgets the origins that it was told of first.
        states = [ledger_state(row) for row in db.execute(f"{SELECT_LEDGER} ORDER BY 2")]
        for state in states[: max(0, len(states) - self._max_origins)]:
            db.execute(
                "DELETE FROM ledger WHERE origin = ? AND incarnation = ?",
                (state.origin, state.incarnation),
            )
        self._ledger.restore(states)

    def note(self, message_id: MessageId) -> None:
        """A message is kept."""
        self._new.append(message_id)
        if len(self._new) >= ENTER_AT:
            _ = self.ledger

    def skip(self, ranges: Iterable[Range]) -> None:
        """Give up messages that nobody keeps any more."""
        for each in ranges:
            self.ledger.lose(each)
            self.touched.add((each.origin, each.incarnation))

    def gone(self, ids: Iterable[MessageId]) -> None:
        """Messages that were kept are about to be dropped, and stay recorded."""
        _ = self.ledger
        for message_id in ids:
            self.kept.drop(message_id)
            self._touch(message_id)

    def forget(self, message_id: MessageId) -> bool:
        """Count a message as missing; return whether that could be done."""
        forgotten = self.ledger.forget(message_id)
        self.kept.drop(message_id)
        if forgotten:
            self._touch(message_id)
        return forgotten

    def write(self, db: sqlite3.Connection) -> None:
        """Write what no message tells; part of the caller's transaction."""
        touched, self.touched = sorted(self.touched), set()
        states = [state for key in touched if (state := self.ledger.state(key)) is not None]
        db.executemany(UPSERT_LEDGER, map(ledger_row, states))

    def _touch(self, message_id: MessageId) -> None:
        self.touched.add((message_id.origin, message_id.incarnation))
