"""The page on the wire format tells the truth: its bytes, its tables, its limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import limits
from chordnet.core.base.messages import Detour, OriginState, PeerMessage, Range
from chordnet.core.lookup import iterative
from chordnet.wire.codec import LONG_LIMIT, encode_frame, frame_limit
from chordnet.wire.greeting import CODES, GREETING_LIMIT, OLDEST_VERSION, VERSION
from chordnet.wire.parts import PART_BYTES, LongFrames
from chordnet.wire.rpc import OrderedEntry, PutKey
from tests.unit import wire_examples
from tests.unit.wire_conversation import client_talk, peer_talk, refused_talk
from tests.unit.wire_examples import EXAMPLES, reader_of

PAGE = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text("utf-8")

CLAIMS = (Path(__file__).parents[2] / "docs" / "reference" / "peer-claims.md").read_text("utf-8")

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "other-language.md").read_text("utf-8")

BLOCKS = [bytes.fromhex(block) for block in re.findall(r"```text\n(.*?)```", PAGE, re.S)]

STRUCTS = [
    wire_examples.NODE, wire_examples.LABEL, wire_examples.ID, wire_examples.INFO,
    wire_examples.RECEIPT, wire_examples.SHOWN, wire_examples.RECORD, wire_examples.STATUS,
    wire_examples.TRACE, wire_examples.TRACE.events[0], wire_examples.STATUS.fingers[0],
    wire_examples.RECORD.route[0], OriginState(b"", 1, []), Range(b"", 1, 1, 2),
    wire_examples.GAP, Detour(0, 1, []),
    OrderedEntry(None), wire_examples.HISTORY, wire_examples.HISTORY.origins[0],
    wire_examples.TRAIL, wire_examples.ENTRY, wire_examples.WRITTEN,
    wire_examples.MEMBER, wire_examples.SLOT, wire_examples.STORE,
    wire_examples.STANDING, wire_examples.STANDING.slots[0],
    wire_examples.KEY_MEMBER, wire_examples.KEY_MEMBERS,
    wire_examples.REVISION, wire_examples.HELD, wire_examples.STALE,
    wire_examples.KEY_MEMBER, wire_examples.KEY_MEMBERS, wire_examples.RECOVERY,
    wire_examples.CERTIFIED, wire_examples.CERTIFICATES,
    wire_examples.SEAL, wire_examples.PROOF, wire_examples.WITNESS,
    wire_examples.EVIDENCE, wire_examples.EVIDENCE.signatures[0],
]  # fmt: skip


def written_type(kind: object) -> str:
    """Return a field's type as the page writes it."""
    inspect = msgspec.inspect
    simple = {
        inspect.IntType: "int", inspect.FloatType: "float", inspect.BoolType: "bool",
        inspect.StrType: "str", inspect.BytesType: "bytes", inspect.DictType: "map",
    }  # fmt: skip
    if isinstance(kind, inspect.UnionType):
        (present,) = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
        return written_type(present) + "?"
    if isinstance(kind, inspect.ListType):
        return f"[{written_type(kind.item_type)}]"
    if isinstance(kind, inspect.TupleType):
        return f"({', '.join(written_type(k) for k in kind.item_types)})"
    if isinstance(kind, inspect.StructType):
        return kind.cls.__name__
    return simple[type(kind)]


def written_fields(kind: type) -> str:
    """Return a struct's fields as the page writes them."""
    fields = []
    for field in msgspec.inspect.type_info(kind).fields:
        text = f"{field.name} {written_type(field.type)}"
        if not field.required:
            made = field.default_factory is not msgspec.NODEFAULT
            value = field.default_factory() if made else field.default
            default = msgspec.json.encode(value).decode()
            text += f" = {default.replace('null', 'nil')}"
        fields.append(text)
    return ", ".join(fields)


class ClaimTests(SynchronousTestCase):
    def test_the_page_on_claims_goes_through_every_field_of_every_message_between_nodes(self):
        named: dict[str, set[str]] = {}
        # Greetings come before, and what clients say of themselves comes after.
        _, _, rest = CLAIMS.partition("\n## Liveness and the ring\n")
        between_nodes, _, _ = rest.partition("\n## The store's letters\n")
        for message, fields in re.findall(r"^\| `(\w+)` \|(.*?)\|", between_nodes, re.M):
            named.setdefault(message, set()).update(filter(None, fields.strip().split(", ")))
        kinds = get_args(PeerMessage)
        expected = {kind.__name__: set(kind.__struct_fields__) for kind in kinds}
        self.assertEqual(named, expected)

    def test_the_limits_on_the_page_on_claims_are_the_programs(self):
        for figure in (
            f"{limits.MAX_UNREACHED}", f"{limits.MAX_RANGES}", f"above {limits.MAX_TTL}",
            f"above {limits.HINT_TTL}", f"above {limits.MERGE_TTL:,}", f"{iterative.MAX_STEPS}",
            f"at most {limits.MAX_EXCLUDE}", f"at most {limits.MAX_REASON}",
        ):  # fmt: skip
            self.assertIn(figure, CLAIMS)
        self.assertEqual((limits.COUNT_LIMIT, limits.NODES_LIMIT), (1 << 62, 1 << 31))


class ExampleTests(SynchronousTestCase):
    def test_the_bytes_are_those_of_real_conversations(self):
        spoken = client_talk() + refused_talk() + peer_talk()
        self.assertEqual([b.hex() for b in BLOCKS], [s.hex() for s in spoken])

    def test_every_example_decodes(self):
        readers = {type(message).__name__: reader_of(message) for message in EXAMPLES}
        names = re.findall(r"→ \w+: `(\w+)`", PAGE)
        self.assertEqual(len(names), len(BLOCKS))
        for name, block in zip(names, BLOCKS, strict=True):
            self.assertEqual(int.from_bytes(block[:4]), len(block) - 4)
            self.assertEqual(type(readers[name](block[4:])).__name__, name)

    def test_the_bytes_of_a_frame_in_parts_are_those_that_are_sent(self):
        begins, last = [
            bytes.fromhex(block) for block in re.findall(r"```none\n([0-9a-f \n]*?)```", PAGE)
        ]
        waiting = LongFrames()
        waiting.put(encode_frame(PutKey(9, "k", b"\x78" * 65_536)))
        self.assertEqual(waiting.take()[: len(begins)], begins)
        self.assertEqual(waiting.take(), last)
        self.assertEqual(waiting.waiting, 0)


class TableTests(SynchronousTestCase):
    maxDiff = None

    def test_every_message_is_documented_with_its_tag_and_fields(self):
        rows = dict(re.findall(r"^(\| \d+ \| `(?:\w+)` \|)(.*?)\|", PAGE, re.M))
        expected = {}
        for kind in {type(message) for message in EXAMPLES}:
            tag = msgspec.inspect.type_info(kind).tag
            expected[f"| {tag} | `{kind.__name__}` |"] = written_fields(kind)
        self.assertEqual({row: text.strip() for row, text in rows.items()}, expected)

    def test_every_struct_is_documented_with_its_fields(self):
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
        kinds = {type(value) for value in STRUCTS}
        kinds |= {
            type(wire_examples.PEER_MESSAGES[14].hops[0]),
            type(wire_examples.REPLIES[3].result),
        }
        self.assertEqual(rows, {kind.__name__: written_fields(kind) for kind in kinds})

    def test_the_limits_on_the_page_of_the_wire_are_the_programs(self):
        self.assertIn(f"at most {GREETING_LIMIT:,} bytes", PAGE)
        self.assertIn(f"{frame_limit(65536):,}", PAGE)
        self.assertIn(f"has at most {LONG_LIMIT:,} bytes ({limits.MAX_VALUE_BYTES:,} for", PAGE)
        self.assertIn(f"always {PART_BYTES:,} |", PAGE)

    def test_the_shortest_way_to_a_client_greets_with_the_version_that_is_spoken(self):
        (hello,) = re.findall(r"`\[60, (.*?)\]`", GUIDE)
        self.assertEqual(hello, f'"chordnet", {VERSION}, "", 0, "client", nil, {OLDEST_VERSION}')

    def test_every_code_of_a_refusal_is_explained(self):
        for code in CODES:
            self.assertIn(f"`{code}`", PAGE)
