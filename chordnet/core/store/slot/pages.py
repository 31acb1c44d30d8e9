"""Pages of a slot's state: how much of it travels for an installation, and in which order.

A member of the next epoch asks all members for a first page. For most slots that is all there is. A
larger state is read on from one member at a time, the others' later.

Large values are not sent again to a member that has them. A question for a page names the keys of
which the asker has a large value, with the ballot under which that was accepted, whether it is on
its own disk or came from another member. Where the state has the same ballot the answer leaves the
record out, for equal ballots mean equal contents. So a member that stays fetches little, and one
that is new fetches each large value once.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.messages import Address, page
from chordnet.core.store.base.records import Record, is_large

HAVE_IN_ONE = 256
"""Keys that one question for a page names."""

Records = tuple[tuple[bytes, Record], ...]
Source = tuple[str, Address]
"""A node, and what its state is asked for by."""


class AtHand:
    """Records with large values that a member has while it installs a state."""

    def __init__(self) -> None:
        self._records: dict[bytes, Record] = {}
        """The newest of each key."""
        self._offered: dict[Source, dict[bytes, Record]] = {}
        """What the last question to each member has named."""

    def add(self, records: Iterable[tuple[bytes, Record]]) -> None:
        """Remember the large ones of these records."""
        for key, record in records:
            if is_large(record):
                known = self._records.get(key)
                if known is None or record.accepted > known.accepted:
                    self._records[key] = record

    def offer(self, to: Source, after: bytes | None) -> tuple[tuple[bytes, Ballot], ...]:
        """Return what a question names that asks for the page after a key."""
        keys = sorted(key for key in self._records if after is None or key > after)
        named = page(((key, self._records[key].accepted) for key in keys), HAVE_IN_ONE)
        self._offered[to] = {key: self._records[key] for key, _ballot in named}
        return named

    def filled(
        self, source: Source, records: Iterable[tuple[bytes, Record | None]]
    ) -> Records | None:
        """Return a page with what was left out of it; None if that was never named."""
        offered, found = self._offered.get(source, {}), list[tuple[bytes, Record]]()
        for key, record in records:
            whole = offered.get(key) if record is None else record
            if whole is None:
                return None
            found.append((key, whole))
        self.add(found)
        return tuple(self._shared(key, record) for key, record in found)

    def _shared(self, key: bytes, record: Record) -> tuple[bytes, Record]:
        """Return a record that does not hold a second copy of a value that is at hand."""
        known = self._records.get(key)
        if known is not None and known is not record and known.content == record.content:
            return key, replace(record, content=known.content)
        return key, record

    def forget(self) -> None:
        """Let go of everything: the state is installed."""
        self._records.clear()
        self._offered.clear()
