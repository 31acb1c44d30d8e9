"""The ledger of the message log on disk.

The ledger's table has rows only for what the kept messages do not show: messages that were dropped,
and messages that no node keeps any more. Everything else follows from the messages when the file is
opened. So a message costs one row, which both keeps it and counts it as recorded.
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
"""New messages are entered in groups of this size, at a fraction of the cost of single ones."""


class Recorded:
    """The ledger of one log, and the origins of it that have to be written."""

    def __init__(self) -> None:
        config = ProtocolConfig()
        self._max_origins = config.max_origins
        self._ledger = Ledger(config.max_origins)
        self._new: list[MessageId] = []
        self.kept = KeptNumbers()
        """The messages in the log. Read :attr:`ledger` first, which enters the new ones."""
        self.touched: set[tuple[bytes, int]] = set()
        """Origins whose row has to be written, since the messages do not show all of it."""

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
        # Ordered by incarnation, since the ledger forgets the origins that it got first.
        states = [ledger_state(row) for row in db.execute(f"{SELECT_LEDGER} ORDER BY 2")]
        for state in states[: max(0, len(states) - self._max_origins)]:
            db.execute(
                "DELETE FROM ledger WHERE origin = ? AND incarnation = ?",
                (state.origin, state.incarnation),
            )
        self._ledger.restore(states)

    def note(self, message_id: MessageId) -> None:
        """Note that a message is kept."""
        self._new.append(message_id)
        if len(self._new) >= ENTER_AT:
            _ = self.ledger

    def skip(self, ranges: Iterable[Range]) -> None:
        """Give up messages that no node keeps any more."""
        for each in ranges:
            self.ledger.lose(each)
            self.touched.add((each.origin, each.incarnation))

    def gone(self, ids: Iterable[MessageId]) -> None:
        """Note that kept messages are about to be dropped; they stay recorded."""
        _ = self.ledger
        for message_id in ids:
            self.kept.drop(message_id)
            self._touch(message_id)

    def forget(self, message_id: MessageId) -> bool:
        """Count a message as missing; return False if that is not possible."""
        forgotten = self.ledger.forget(message_id)
        self.kept.drop(message_id)
        if forgotten:
            self._touch(message_id)
        return forgotten

    def write(self, db: sqlite3.Connection) -> None:
        """Write the rows of the touched origins, as part of the caller's transaction."""
        touched, self.touched = sorted(self.touched), set()
        states = [state for key in touched if (state := self.ledger.state(key)) is not None]
        db.executemany(UPSERT_LEDGER, map(ledger_row, states))

    def _touch(self, message_id: MessageId) -> None:
        self.touched.add((message_id.origin, message_id.incarnation))
