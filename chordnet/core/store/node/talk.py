"""What stores say to each other besides the messages of slots, and the letters they travel in.

A letter is a list of messages: all that one step of a node has to say to one other. What a peer
says is a claim, so a letter is read with every limit that an honest one keeps; one that breaks any
is thrown away whole.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import isfinite
from operator import attrgetter
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from chordnet.core.base.limits import (
    COUNT_LIMIT,
    MAX_KEY_BYTES,
)
from chordnet.core.base.naming import usable_name
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Recovery, Vote
from chordnet.core.store.base.founding import MOST_REPLICAS, MOST_SLOTS
from chordnet.core.store.base.kept import Mark
from chordnet.core.store.base.messages import Address, StoreMessage
from chordnet.core.store.base.records import Applied, Content, Floor, Record
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.begin.marks import Back, Known
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.slot.pages import HAVE_IN_ONE
from chordnet.core.store.slot.reserving import MOST_KNOWN, PRINT_BYTES
from chordnet.core.store.upkeep.offers import Offer, Ready
from chordnet.core.store.watch.messages import WATCHED_IN_ONE, Peek, Peeked, Stirred, Watch

LETTER_BYTES = 65_536
"""A letter is closed when it is longer; one message goes in whatever its size."""
LISTED_IN_ONE = 256
"""Slots in one ``Lists``."""
STOCK_IN_ONE = 256
"""Keys in one ``Stock`` or ``Missing``."""


class Talk(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base class of what concerns a formation, and no epoch of a slot."""

    formation: bytes


class Lists(Talk, frozen=True):
    """What the sender knows of these slots: its directory's entries, or the news of them."""

    listed: tuple[Listed, ...]


class Digest(Talk, frozen=True):
    """The digest of the sender's directory; answered with ``Lists`` if it differs."""

    digest: int
    back: bool = False
    """It comes with the lists that such a question was answered with: do not answer it."""


class Where(Talk, frozen=True):
    """Say what you know of these slots."""

    slots: tuple[int, ...]


class Sum(Talk, frozen=True):
    """The digest of what the sender has of a slot; answered with ``Stock`` if it differs."""

    address: Address
    digest: int


class Stock(Talk, frozen=True):
    """Which keys the sender has of a slot, and the ballot under which each was accepted."""

    address: Address
    store: int
    """The sender's."""
    after: bytes | None
    """The list begins after this key."""
    accepted: tuple[tuple[bytes, Ballot], ...]
    more: bool
    """Whether there are keys after these."""
    floor: Ballot = NONE
    """The promise of the sender's floor: where it has no record it takes nothing up to here."""


class Missing(Talk, frozen=True):
    """The sender lacks these records of a slot; go on with the list after ``after``."""

    address: Address
    keys: tuple[bytes, ...]
    after: bytes | None = None
    below: tuple[bytes, ...] = ()
    """Records that it lacks and cannot take as they are, because of what it has promised."""
    promised: Ballot = NONE
    """At or above all of these promises."""


class Suggest(Talk, frozen=True):
    """Please lead a change: in place of the members of this epoch, these should hold the slot.

    From a node that is not a member itself, and so cannot lead it. If the members are those of the
    epoch already: tell them again of their configuration, which does not serve yet.
    """

    slot: int
    generation: int
    epoch: int
    members: tuple[Member, ...]


class Leaving(Talk, frozen=True):
    """The sender is about to stop, and keeps its seats."""


Message = (
    StoreMessage
    | Hail
    | Mark
    | Back
    | Known
    | Lists
    | Digest
    | Where
    | Sum
    | Stock
    | Missing
    | Suggest
    | Leaving
    | Offer
    | Ready
    | Watch
    | Stirred
    | Peek
    | Peeked
)
MOST_NAMES_KNOWN = 4096
"""Names of nodes that are known to be possible."""
_USABLE: set[str] = set()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Message]).decode


def letters(messages: Sequence[Message]) -> Iterator[bytes]:
    """Pack messages for one node into letters of a moderate length, in their order."""
    if not messages:
        return
    letter = _encode(messages)
    if len(letter) <= LETTER_BYTES or len(messages) == 1:
        yield letter
        return
    packed: list[msgspec.Raw] = []
    size = 0
    for message in messages:
        raw = _encode(message)
        if packed and size + len(raw) > LETTER_BYTES:
            yield _encode(packed)
            packed, size = [], 0
        packed.append(msgspec.Raw(raw))
        size += len(raw)
    if packed:
        yield _encode(packed)


def read(letter: bytes) -> list[Message]:
    """Return the messages of a letter.

    :raises ValueError: no honest node has written it.
    """
    try:
        messages = _decode(letter)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    for message in messages:
        check = _SOUND.get(type(message))
        if check is not None and not check(message):
            raise ValueError(f"an impossible {type(message).__name__}")
    return messages


# ---- what is possible -------------------------------------------------------------------------


Check = Callable[[Any], bool]


def _sound(part: Any) -> bool:
    """Return True if everything in a message is as an honest node may say it."""
    check = _SOUND.get(type(part))
    return check is None or check(part)


def _sound_number(part: int) -> bool:
    return 0 <= part < COUNT_LIMIT


def _sound_parts(parts: tuple[Any, ...]) -> bool:
    # Messages are read in every step of a busy store, so this is a loop without calls of its own.
    for part in parts:
        check = _SOUND.get(type(part))
        if check is not None and not check(part):
            return False
    return True


def _sound_struct(kind: type) -> Check:
    """Return what checks a kind of message: the kind's own rule, and all fields that have one."""
    own = _CHECKS.get(kind, lambda _part: True)
    hints = get_type_hints(kind, include_extras=True)
    names = [name for name in _fields(kind) if _is_looked_into(hints[name])]
    if not names:
        return own
    if kind not in _CHECKS:
        return _sound_fields(names)
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda part: own(part) and _sound(only(part))
    several = attrgetter(*names)
    return lambda part: own(part) and _sound_parts(several(part))


def _fields(kind: type) -> tuple[str, ...]:
    return tuple(kind.__struct_fields__)  # type: ignore[attr-defined]


def _sound_fields(names: Sequence[str]) -> Check:
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda part: _sound(only(part))
    several = attrgetter(*names)
    return lambda part: _sound_parts(several(part))


@cache
def _is_looked_into(hint: Any) -> bool:
    """Return True if the decoder does not see to all that is possible in a field of this kind."""
    origin = get_origin(hint)
    if origin is Annotated:
        bounded = hint.__metadata__[0].ge is not None
        return not bounded and _is_looked_into(hint.__origin__)
    if origin is not None:
        return any(_is_looked_into(each) for each in get_args(hint) if each is not ...)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint, include_extras=True)
        return hint in _CHECKS or any(map(_is_looked_into, hints.values()))
    return hint not in _PLAIN and not (isinstance(hint, type) and issubclass(hint, enum.Enum))


def _is_usable(name: str) -> bool:
    """Return True if a node may have this name, and remember it: the same ones come again."""
    usable = usable_name(name)
    if usable and len(_USABLE) < MOST_NAMES_KNOWN:
        _USABLE.add(name)
    return usable


def _is_key(key: bytes) -> bool:
    return 0 < len(key) <= MAX_KEY_BYTES


def _keys(keys: Sequence[bytes]) -> bool:
    return len(keys) <= STOCK_IN_ONE and all(map(_is_key, keys))


_CHECKS: dict[type, Callable[[Any], bool]] = {
    Ballot: lambda part: part.node in _USABLE or part.node == "" or _is_usable(part.node),
    Member: lambda part: part.node in _USABLE or _is_usable(part.node),
    Configuration: lambda part: _members(part.members),
    Recovery: lambda part: part.is_sound(),
    msg.Inquired: lambda part: isfinite(part.written),
    Vote: lambda part: _members(part.members),
    msg.AcceptChange: lambda part: _members(part.members),
    Lists: lambda part: len(part.listed) <= LISTED_IN_ONE,
    Where: lambda part: len(part.slots) <= LISTED_IN_ONE,
    msg.Reserved: lambda part: (
        len(part.known) <= MOST_KNOWN * PRINT_BYTES and len(part.known) % PRINT_BYTES == 0
    ),
    msg.Fetch: lambda part: (
        len(part.have) <= HAVE_IN_ONE and all(_is_key(key) for key, _ballot in part.have)
    ),
    msg.Snapshot: lambda part: all(_is_key(key) for key, _record in part.records),
    Stock: lambda part: _keys([key for key, _ballot in part.accepted]),
    Missing: lambda part: _keys(part.keys) and _keys(part.below),
    msg.Collect: lambda part: _keys([key for key, _ballot in part.tombstones]),
    msg.Collectable: lambda part: _keys([key for key, _ballot in part.tombstones]),
    msg.Drop: lambda part: _keys([key for key, _ballot in part.tombstones]),
    Listed: lambda part: part.slot < MOST_SLOTS,
    Watch: lambda part: _watched(part.keys),
    Stirred: lambda part: _watched(part.keys),
    Peek: lambda part: _is_key(part.key),
    Peeked: lambda part: isfinite(part.age_s),
    Offer: lambda part: part.slot < MOST_SLOTS,
    Suggest: lambda part: part.slot < MOST_SLOTS and _members(part.members),
}
_STRUCTS: tuple[type, ...] = (
    *StoreMessage.__args__,
    Mark,
    Back,
    Known,
    Lists,
    Digest,
    Where,
    Sum,
    Stock,
    Missing,
    Suggest,
    Leaving,
    Offer,
    Ready,
    Watch,
    Stirred,
    Peek,
    Peeked,
    Listed,
    Address,
    Ballot,
    Member,
    Configuration,
    Recovery,
    Vote,
    Content,
    Applied,
    Record,
    Floor,
)
_PLAIN: frozenset[Any] = frozenset({bytes, str, bool, float, type(None)})
"""What only the rule of the kind that it is in can say something about."""


def _watched(keys: tuple[tuple[bytes, int], ...]) -> bool:
    return len(keys) <= WATCHED_IN_ONE and all(_is_key(key) for key, _version in keys)


def _members(members: tuple[Member, ...]) -> bool:
    return len(members) <= MOST_REPLICAS and len({each.node for each in members}) == len(members)


_SOUND: dict[type, Check] = {
    int: _sound_number,
    tuple: _sound_parts,
    **{kind: _sound_struct(kind) for kind in _STRUCTS if _is_looked_into(kind)},
}
"""What checks a part of a message, by its kind; anything is sound that has none."""
