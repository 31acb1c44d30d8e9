"""Messages that nobody would write: of the right types, with any values; and damaged bytes.

Hypothesis makes them from the types themselves, so a new message, or a new field, is tried as well.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

LARGEST = 2**63 - 1
SMALL = st.integers(-2, 5)
INTS = SMALL | st.sampled_from([2**31, 2**53, 2**61, 2**62 - 1, 2**62, -(2**62), LARGEST])
FLOATS = st.sampled_from([0.0, -1.0, 1.5, 1.7e9, 1e300, float("inf"), float("-inf"), float("nan")])
TEXTS = st.sampled_from(["", "a", "chordnet", "10.0.0.1:7001", "é\u202e\n", "x" * 300]) | st.text(
    max_size=8
)
BYTES = st.binary(max_size=24) | st.sampled_from([bytes(20), bytes(range(20)), b"\xff" * 20])

Choose = Callable[[type, str], "st.SearchStrategy[Any] | None"]
"""Returns what a field of a message may be, by the message and the field's name; None for any."""


def nothing_chosen(_message: type, _field: str) -> None:
    """Leave every field to its type."""


def members(union: Any) -> list[type]:
    """Return the messages of a union, or the only one."""
    return list(typing.get_args(union)) or [union]


def messages(union: Any, choose: Choose = nothing_chosen) -> st.SearchStrategy[Any]:
    """Return messages of a union of types, each as likely as any other."""
    return st.one_of([_made(inspect.type_info(each), choose) for each in members(union)])


def _made(kind: inspect.Type, choose: Choose, depth: int = 0) -> st.SearchStrategy[Any]:
    few = 3 if depth < 3 else 1
    match kind:
        case inspect.StructType():
            fields = {}
            for each in kind.fields:
                chosen = choose(kind.cls, each.name)
                fields[each.name] = (
                    _made(each.type, choose, depth + 1) if chosen is None else chosen
                )
            return st.builds(kind.cls, **fields)
        case inspect.UnionType():
            return st.one_of([_made(each, choose, depth) for each in kind.types])
        case inspect.ListType() | inspect.VarTupleType():
            found = st.lists(_made(kind.item_type, choose, depth + 1), max_size=few)
            return found.map(tuple) if isinstance(kind, inspect.VarTupleType) else found
        case inspect.TupleType():
            return st.tuples(*(_made(each, choose, depth + 1) for each in kind.item_types))
        case inspect.DictType():
            keys = _made(kind.key_type, choose, depth + 1)
            return st.dictionaries(keys, _made(kind.value_type, choose, depth + 1), max_size=few)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.LiteralType():
            return st.sampled_from(list(kind.values))
    simple: dict[type, st.SearchStrategy[Any]] = {
        inspect.IntType: INTS,
        inspect.FloatType: FLOATS,
        inspect.StrType: TEXTS,
        inspect.BytesType: BYTES,
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
    }
    return simple[type(kind)]


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Return bytes with some of them changed, cut off, put in or doubled."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                del data[place : place + draw(st.integers(1, 8))]
            case 1:
                data[place:place] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                data[place:place] = data[: draw(st.integers(0, 64))]
            case _ if place < len(data):
                data[place] = draw(st.integers(0, 255))
    return bytes(data)


def encoded(message: msgspec.Struct) -> bytes:
    """Return a message as its frame has it, without the header."""
    return msgspec.msgpack.encode(message)
