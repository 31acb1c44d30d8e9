"""Keys exported to a file and imported again: the file's lines, and what is done with the keys."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    NoStore,
    Unavailable,
    Unconfirmed,
)
from chordnet.core.base.outcomes import Entry
from chordnet.survey.errors import TestbedError
from chordnet.survey.store import backup
from chordnet.survey.store.backup import BadBackup, Saved, read_backup
from chordnet.testbed.actions.backup import (
    Exported,
    Imported,
    export_keys,
    import_keys,
)
from chordnet.testbed.actions.convergence import Counted
from chordnet.wire.rpc import Written
from chordnet.wire.stores import HeldKey
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import World, store_state

NOW = 1_760_000_000.0
KEYS = [
    Saved("a", Entry(b"blue", 3, None)),
    Saved("b\n\u00e9", Entry(b"\xff\x00", 1, NOW + 60.5)),
    Saved("c", Entry(b"", 9, None)),
]


def lines_of(saved: list[Saved]) -> list[str]:
    return [backup.head("net", "0f", NOW), *map(backup.line_of, saved), backup.end(len(saved))]


class FormatTests(SynchronousTestCase):
    def bad(self, *lines: str) -> str:
        with self.assertRaises(BadBackup) as raised:
            list(read_backup(lines))
        return str(raised.exception)

    def key(self, **fields: Any) -> str:
        document: dict[str, Any] = {"key": "k", "version": 1, "value": "v", "expires": None}
        line = json.dumps(document | fields)
        return self.bad(backup.head("net", "0f", NOW), line, backup.end(1))

    def test_what_is_written_is_read_again(self) -> None:
        lines = lines_of(KEYS)
        self.assertEqual(list(read_backup(lines)), KEYS)
        self.assertTrue(all(line.isascii() and "\n" not in line for line in lines))
        self.assertEqual(json.loads(lines[1])["value"], "blue")
        self.assertEqual(json.loads(lines[2])["value_base64"], "/wA=")

    def test_every_field_of_a_key_is_checked_and_the_line_is_named(self) -> None:
        for fields, why in (
            ({"key": ""}, "line 2: the key is empty"),
            ({"key": 7}, "line 2: the key must be a text"),
            ({"key": "\ud800"}, "line 2: the key is not valid text"),
            ({"key": "k" * 1025}, "line 2: the key has"),
            ({"version": 0}, "line 2: the version is not a whole number from 1 on"),
            ({"version": True}, "line 2: the version is not"),
            ({"version": "1"}, "line 2: the version is not"),
            ({"expires": "soon"}, "line 2: 'expires' is neither"),
            ({"expires": float("inf")}, "line 2: 'expires' is neither"),
            ({"value": None}, "line 2: it needs one of value and value_base64"),
            ({"value": "v", "value_base64": "dg=="}, "line 2: it needs one of"),
            ({"value": None, "value_base64": "!"}, "line 2: value_base64 is not base64"),
            ({"value": None, "value_base64": "dg"}, "line 2: value_base64 is not base64"),
            ({"value": "\ud800"}, "line 2: the value is no valid text"),
            ({"value": "v" * 1_048_577}, "line 2: the value has more than 1048576 bytes"),
        ):
            with self.subTest(fields=str(fields)[:50]):
                self.assertTrue(self.key(**fields).startswith(why), self.key(**fields))

    def test_a_line_that_is_no_object_is_named(self) -> None:
        first = backup.head("net", "0f", NOW)
        self.assertEqual(self.bad(first, '{"key": "k"'), "line 2: it is not JSON")
        self.assertEqual(self.bad(first, "[" * 100_000), "line 2: it is not JSON")
        self.assertEqual(self.bad(first, "7"), "line 2: it is not a JSON object")

    def test_another_file_is_told_from_one_that_was_exported(self) -> None:
        self.assertEqual(self.bad(), "line 1: the file is empty")
        self.assertEqual(self.bad('{"a": 1}'), "line 1: this is no file of exported keys")
        newer = json.dumps({"format": backup.FORMAT, "version": 2})
        self.assertEqual(self.bad(newer), "line 1: the format has version 2, and 1 is understood")

    def test_a_file_that_is_not_whole_is_told_from_one_that_is(self) -> None:
        lines = lines_of(KEYS)
        self.assertIn("line 4: the end is missing", self.bad(*lines[:-1]))
        why = self.bad(*lines[:3], lines[4])
        self.assertEqual(why, "line 4: 2 keys came before, and there should be 3")
        why = self.bad(*lines, lines[1])
        self.assertEqual(why, "line 6: there is something after the end")


class Register:
    """The keys of a network, and what its nodes answer."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.gone: set[str] = set()
        """Keys that are listed and have no value any more."""
        self.fails: dict[str, list[ChordnetError]] = {}
        """By key: how the next operations end, without being done."""
        self.lost: set[str] = set()
        """Keys whose next write is done, and told to be unconfirmed."""
        self.requests: dict[bytes, int] = {}
        self.listing: ChordnetError | None = None
        self.open = 0
        self.puts = 0


class KeyClient:
    """A client of one node that has every key."""

    def __init__(self, register: Register, world: World, number: int) -> None:
        self.register, self.world, self.number = register, world, number
        register.open += 1

    def store_state(self) -> Deferred[Any]:
        told = self.world.nodes.stores.get(self.number)
        return succeed(told or store_state(self.world.described, self.number, range(1, 6)))

    def held_keys(
        self, limit: int = 0, after: str = "", *, owned: bool = False
    ) -> Deferred[list[HeldKey]]:
        if self.register.listing is not None:
            return fail(self.register.listing)
        found = [
            HeldKey(key, 1, 1, None, 0) for key in sorted(self.register.entries) if key > after
        ]
        return succeed(found[:limit])

    def get(self, key: str, *, timeout_s: float) -> Deferred[Entry | None]:
        fails = self.register.fails.get(key)
        if fails:
            return fail(fails.pop(0))
        gone = key in self.register.gone
        return succeed(None if gone else self.register.entries.get(key))

    def put(
        self, key: str, value: bytes, *, if_version: int | None, expires_s: float | None,
        request: bytes | None, since: int | None, timeout_s: float,
    ) -> Deferred[Written]:  # fmt: skip
        register = self.register
        register.puts += 1
        fails = register.fails.get(key)
        if fails:
            return fail(fails.pop(0))
        if request is not None and request in register.requests:
            return succeed(self.written(register.requests[request]))
        present = register.entries.get(key)
        if if_version != (0 if present is None else present.version):
            return fail(Conflict("another version", present))
        version = 1 if present is None else present.version + 1
        expires = None if expires_s is None else NOW + expires_s
        register.entries[key] = Entry(value, version, expires)
        if key in register.lost:
            register.lost.discard(key)
            register.requests[b"mine"] = version
            return fail(Unconfirmed("it is not known", b"mine", 0))
        return succeed(self.written(version))

    def written(self, version: int) -> Written:
        return Written(version, "0f", 0, 1, ["Node 1"], [], NOW)

    def close(self) -> None:
        self.register.open -= 1


class Case(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.register = Register()
        self.nodes, self.testbed = self.world.nodes, self.world.testbed
        self.testbed.connect = self.connect  # type: ignore[assignment]
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def connect(self, address: str) -> KeyClient:
        return KeyClient(self.register, self.world, self.nodes.number(address))

    def finish(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        done = Deferred.fromCoroutine(work)
        for _ in range(400):
            if done.called:
                break
            self.world.clock.advance(0.1)
        self.assertEqual(self.register.open, 0)
        return done

    def keep(self, saved: list[Saved]) -> None:
        self.register.entries = {each.key: each.entry for each in saved}

    def write(self, saved: list[Saved]) -> None:
        self.path.write_text("\n".join(lines_of(saved)) + "\n")


class ExportTests(Case):
    def export(self, *, allow_gaps: bool = False) -> Any:
        return self.finish(export_keys(self.testbed, self.path, NOW, 10.0, allow_gaps=allow_gaps))

    def exported(self, **words: bool) -> Exported:
        found: Exported = self.successResultOf(self.export(**words))
        return found

    def refused(self) -> str:
        return str(self.failureResultOf(self.export(), TestbedError).value)

    def test_every_key_is_in_the_file_in_order_with_its_value_version_and_expiry(self) -> None:
        self.keep(KEYS[::-1])
        self.assertEqual(self.exported(), Exported(keys=3, bytes=6))
        with self.path.open() as file:
            self.assertEqual(list(read_backup(file)), KEYS)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(list(self.path.parent.glob(f".{self.path.name}*")), [])

    def test_a_long_list_of_keys_comes_in_pages(self) -> None:
        self.keep([Saved(f"k{n:05}", Entry(b"v", 1, None)) for n in range(2500)])
        self.assertEqual(self.exported().keys, 2500)

    def test_how_far_it_is_can_be_watched(self) -> None:
        seen: list[Any] = []
        self.testbed.watch = seen.append
        self.keep(KEYS)
        self.exported()
        self.assertEqual(seen, [Counted((0, 3), "0 of 3 keys read")])
        self.assertEqual((seen[0].done, seen[0].words()), ((0, 3), "0 of 3 keys read"))

    def test_a_key_that_is_gone_when_it_is_read_is_left_out(self) -> None:
        self.keep(KEYS)
        self.register.gone = {"a"}
        self.assertEqual(self.exported().keys, 2)

    def test_what_fails_for_a_moment_is_read_again(self) -> None:
        self.keep(KEYS)
        self.register.fails["a"] = [Busy("later"), Unavailable("for now")]
        self.assertEqual(self.exported().keys, 3)

    def test_a_key_that_cannot_be_read_means_no_file_and_leaves_the_old_one(self) -> None:
        self.path.write_text("old")
        self.keep(KEYS)
        self.register.fails["a"] = [Unavailable("a cannot be read")] * 5
        why = "a cannot be read; no file was written (with --partial without such keys)"
        self.assertEqual(self.refused(), why)
        self.assertEqual(self.path.read_text(), "old")
        self.assertEqual(list(self.path.parent.glob(f".{self.path.name}*")), [])

    def test_a_file_with_gaps_says_what_is_missing(self) -> None:
        self.keep(KEYS)
        self.register.fails["a"] = [Unavailable("a cannot be read")] * 5
        done = self.exported(allow_gaps=True)
        self.assertEqual((done.keys, done.unread), (2, ("a cannot be read",)))

    def test_a_node_that_does_not_say_what_it_holds_ends_it(self) -> None:
        self.keep(KEYS)
        self.register.listing = NoStore("it has stopped")
        self.assertEqual(self.refused(), "Node 1 does not say which keys it holds: it has stopped")
        self.assertFalse(self.path.exists())

    def test_a_network_without_a_store_or_with_two_has_nothing_to_export(self) -> None:
        for number in range(1, 6):
            self.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), formation="", slots=[]
            )
        self.assertEqual(self.refused(), "no node that runs belongs to a store of keys")
        self.nodes.stores = {
            1: store_state(self.world.described, 1, range(1, 6), formation="1e" * 16)
        }
        self.assertIn("several stores", self.refused())

    def test_a_place_that_cannot_be_written_is_told(self) -> None:
        self.path = self.path / "no" / "such"
        self.assertIn(f"cannot write {self.path}: No such file", self.refused())


class ImportTests(Case):
    def load(self, *, overwrite: bool = False, wall: Callable[[], float] = lambda: NOW) -> Any:
        return self.finish(import_keys(self.testbed, self.path, wall, 10.0, overwrite=overwrite))

    def loaded(self, **words: Any) -> Imported:
        found: Imported = self.successResultOf(self.load(**words))
        return found

    def test_what_was_exported_is_there_again_with_its_expiry(self) -> None:
        self.write(KEYS)
        self.assertEqual(self.loaded(), Imported(written=3))
        entries = self.register.entries
        self.assertEqual(entries["a"], Entry(b"blue", 1, None))
        self.assertEqual(entries["b\n\u00e9"], Entry(b"\xff\x00", 1, NOW + 60.5))

    def test_a_key_with_the_same_value_is_left_and_one_with_another_is_a_conflict(self) -> None:
        self.keep([Saved("a", Entry(b"blue", 7, None)), Saved("c", Entry(b"red", 4, None))])
        self.write(KEYS)
        self.assertEqual(self.loaded(), Imported(written=1, same=1, conflicts=["c"]))
        self.assertEqual(self.register.entries["c"].value, b"red")

    def test_with_overwrite_another_value_is_written_over(self) -> None:
        self.keep([Saved("c", Entry(b"red", 4, None))])
        self.write(KEYS)
        self.assertEqual(self.loaded(overwrite=True), Imported(written=2, overwritten=1))
        self.assertEqual(self.register.entries["c"], Entry(b"", 5, None))

    def test_what_has_expired_is_not_written(self) -> None:
        self.write(KEYS)
        self.assertEqual(self.loaded(wall=lambda: NOW + 61), Imported(written=2, expired=1))

    def test_a_write_that_is_not_confirmed_is_asked_for_again_and_done_once(self) -> None:
        self.register.lost = {"a"}
        self.write(KEYS)
        self.assertEqual(self.loaded(), Imported(written=3))
        self.assertEqual(self.register.entries["a"].version, 1)

    def test_a_key_that_cannot_be_written_is_counted_and_the_others_are_written(self) -> None:
        self.register.fails["a"] = [Unavailable("a cannot be written")] * 5
        self.write(KEYS)
        self.assertEqual(self.loaded(), Imported(written=2, failed=["a cannot be written"]))

    def test_nothing_is_written_from_a_damaged_file(self) -> None:
        self.write(KEYS)
        text = self.path.read_text().splitlines()
        text[3] = text[3][:-1]
        self.path.write_text("\n".join(text))
        why = self.failureResultOf(self.load(), TestbedError).value
        self.assertEqual(str(why), f"{self.path}, line 4: it is not JSON")
        self.assertEqual(self.register.puts, 0)

    def test_a_file_that_is_no_text_or_not_there_is_told(self) -> None:
        self.path.write_bytes(b"\xff\xfe\x00")
        why = self.failureResultOf(self.load(), TestbedError).value
        self.assertIn("line 1: it is not JSON", str(why))
        self.path.unlink()
        why = self.failureResultOf(self.load(), TestbedError).value
        self.assertIn(f"cannot read {self.path}: No such file", str(why))


class CommandTests(Case):
    def test_an_export_and_an_import_say_what_they_have_done(self) -> None:
        self.keep(KEYS)
        self.assertEqual(
            self.printed("store", "export", str(self.path)),
            f"3 keys (6 bytes) exported to {self.path}\n",
        )
        self.register.entries = {"c": Entry(b"red", 4, None)}
        status, out, err = self.p2pnet("store", "import", str(self.path))
        self.assertEqual(status, 1)
        self.assertIn("imported; ", out)
        self.assertIn("1 has another value and was left", out)
        self.assertIn("left as it is, since it has another value: c", err)

    def test_the_documents_have_every_count(self) -> None:
        self.keep(KEYS[:1])
        document = self.document("store", "export", str(self.path))
        self.assertEqual((document["keys"], document["bytes"], document["unread"]), (1, 4, []))
        document = self.document("store", "import", str(self.path))
        self.assertEqual((document["same"], document["written"]), (1, 0))

    def test_gaps_are_told_and_the_status_is_1(self) -> None:
        self.keep(KEYS)
        self.register.fails["a"] = [Unavailable("a cannot be read")] * 5
        status, out, err = self.p2pnet("store", "export", str(self.path), "--partial")
        self.assertEqual(status, 1)
        self.assertIn("2 keys (2 bytes) exported", out)
        self.assertIn("left out: a cannot be read", err)
