"""What a store has on its disk, as bytes: written ahead of the database, and in its rows.

A head, a record or a founding is encoded once, when the store asks to keep it. The same bytes go
into the file ahead of the database and, with the next checkpoint, into a row.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.effects import (
    AllDropped,
    FoundingKept,
    HeadKept,
    MarkKept,
    NumberKept,
    RecordDropped,
    RecordKept,
    SecretKept,
    VoteKept,
)
from chordnet.core.store.base.effects import Entry as ToKeep
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.records import Record
from chordnet.storage.base.ahead import Entry
from chordnet.storage.base.rows import SpoiledRow, encode

_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode
_decode_number = msgspec.msgpack.Decoder(int).decode
_decode_mark = msgspec.msgpack.Decoder(Mark).decode
_decode_founding = msgspec.msgpack.Decoder(Founding).decode

_SECRET, _NUMBER, _MARK = "secret", "number", "mark of "
"""Names of notes; a mark's with the name of its node."""


class Follows(Entry, frozen=True, gc=False, tag="follows"):
    """The first entry in the file: those behind it came after this checkpoint of this store."""

    store: int
    checkpoint: int


class HeadWritten(Entry, frozen=True, gc=False, tag="head"):
    """The head of a slot."""

    slot: int
    head: bytes


class RecordWritten(Entry, frozen=True, gc=False, tag="record"):
    """The record of a key."""

    slot: int
    key: bytes
    record: bytes


class RecordGone(Entry, frozen=True, gc=False, tag="gone"):
    """The key has no record any more."""

    slot: int
    key: bytes


class SlotEmptied(Entry, frozen=True, gc=False, tag="emptied"):
    """All records of the slot that came before this are gone."""

    slot: int


class VoteWritten(Entry, frozen=True, gc=False, tag="vote"):
    """The founding that this store has voted for."""

    founding: bytes


class FoundingWritten(Entry, frozen=True, gc=False, tag="founding"):
    """The founding of the formation that this store belongs to."""

    founding: bytes


class NoteWritten(Entry, frozen=True, gc=False, tag="note"):
    """A small thing that the store remembers under a name: of this disk, or of another."""

    name: str
    note: bytes


Written = (
    HeadWritten
    | RecordWritten
    | RecordGone
    | SlotEmptied
    | VoteWritten
    | FoundingWritten
    | NoteWritten
)
KINDS: tuple[type[Entry], ...] = (
    Follows,
    HeadWritten,
    RecordWritten,
    RecordGone,
    SlotEmptied,
    VoteWritten,
    FoundingWritten,
    NoteWritten,
)
"""All that may stand in the file ahead of the database."""


def written(entry: ToKeep) -> Written:
    """Return the entry that is written for what the store asks to keep."""
    if isinstance(entry, RecordKept):
        return RecordWritten(entry.slot, entry.key, encode(entry.record))
    if isinstance(entry, HeadKept):
        return HeadWritten(entry.head.slot, encode(entry.head))
    if isinstance(entry, RecordDropped):
        return RecordGone(entry.slot, entry.key)
    if isinstance(entry, AllDropped):
        return SlotEmptied(entry.slot)
    if isinstance(entry, FoundingKept):
        return FoundingWritten(encode(entry.founding))
    if isinstance(entry, VoteKept):
        return VoteWritten(encode(entry.founding))
    return _note(entry)


def _note(entry: SecretKept | NumberKept | MarkKept) -> NoteWritten:
    if isinstance(entry, SecretKept):
        return NoteWritten(_SECRET, entry.secret)
    if isinstance(entry, NumberKept):
        return NoteWritten(_NUMBER, encode(entry.number))
    return NoteWritten(f"{_MARK}{entry.node}", encode(entry.mark))


class Contents:
    """What a store has, or what has changed in it: the last for each slot and key."""

    __slots__ = ("emptied", "founding", "gone", "heads", "notes", "records", "vote")

    def __init__(self) -> None:
        self.vote = b""
        """Empty if there is none."""
        self.founding = b""
        """Empty if there is none."""
        self.heads: dict[int, bytes] = {}
        self.emptied: set[int] = set()
        """Slots of which all earlier records are gone."""
        self.records: dict[int, dict[bytes, bytes]] = {}
        """By slot and key."""
        self.gone: dict[int, set[bytes]] = {}
        """Keys whose earlier records are gone, by slot."""
        self.notes: dict[str, bytes] = {}

    def take(self, entries: Iterable[object]) -> None:
        """Follow these changes, in their order.

        :raises SpoiledRow: one of them is none.
        """
        for entry in entries:
            if isinstance(entry, RecordWritten):
                self.records.setdefault(entry.slot, {})[entry.key] = entry.record
            elif isinstance(entry, RecordGone):
                self.records.get(entry.slot, {}).pop(entry.key, None)
                self.gone.setdefault(entry.slot, set()).add(entry.key)
            elif isinstance(entry, HeadWritten):
                self.heads[entry.slot] = entry.head
            elif isinstance(entry, SlotEmptied):
                self.records.pop(entry.slot, None)
                self.gone.pop(entry.slot, None)
                self.emptied.add(entry.slot)
            elif isinstance(entry, VoteWritten):
                self.vote = entry.founding
            elif isinstance(entry, FoundingWritten):
                self.founding = entry.founding
            elif isinstance(entry, NoteWritten):
                self.notes[entry.name] = entry.note
            else:
                raise SpoiledRow("what was written ahead of it is not of a store")

    def kept(self, store: int, run: int) -> Kept:
        """Return all of it, decoded.

        :raises msgspec.DecodeError: a part of it is not what its place says.
        :raises SpoiledRow: the head of one slot stands in the place of another.
        """
        heads = tuple(_decode_head(self.heads[slot]) for slot in sorted(self.heads))
        if [head.slot for head in heads] != sorted(self.heads):
            raise SpoiledRow("a head is not that of its slot")
        return Kept(
            store,
            run,
            _decode_founding(self.vote) if self.vote else None,
            _decode_founding(self.founding) if self.founding else None,
            heads,
            tuple(
                (slot, key, _decode_record(record))
                for slot, records in sorted(self.records.items())
                for key, record in sorted(records.items())
            ),
            self.notes.get(_SECRET, b""),
            _decode_number(self.notes[_NUMBER]) if _NUMBER in self.notes else 0,
            tuple(
                (name.removeprefix(_MARK), _decode_mark(note))
                for name, note in sorted(self.notes.items())
                if name.startswith(_MARK)
            ),
        )
