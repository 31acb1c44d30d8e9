"""``p2pnet replay`` on recordings that a small node wrote."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import Record
from chordnet.core.base.events import Publish, Start, Tick
from chordnet.core.base.messages import NodeRef
from chordnet.record.recording import (
    FORMAT,
    End,
    Header,
    RecordedNode,
    Step,
    config_fields,
    pack,
    pack_effects,
    read_frames,
    unpack_effects,
)
from chordnet.record.replay import SHOWN, apart
from tests.unit.test_cli import CommandCase

WALL = 1_700_000_000.0


def record(path: Path, name: str, start: float) -> None:
    """Record a node that starts alone, creates a ring and sends a message."""
    config = ProtocolConfig(bits=8)
    me = NodeRef(name.encode()[-1:], 1, "10.0.0.1:1", name)
    header = Header(FORMAT, "0", "3.11", me, 5, config_fields(config), WALL + start, start)
    with path.open("wb") as file:
        file.write(pack(header))
        node = RecordedNode(config, me, 5, file.write)
        now, steps = start, 1
        node.step(Start([], []), now)
        while not node.is_member():
            assert node.deadline is not None
            now = max(now, node.deadline)
            node.step(Tick(), now)
            steps += 1
        node.step(Publish([(1, name.encode())], WALL), now + 0.5)
        file.write(pack(End(steps + 1, "the node was stopped")))


class ReplayTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.root.mkdir()
        self.one, self.two = self.root / "one.rec", self.root / "two.rec"
        record(self.one, "n1", 100.0)
        record(self.two, "n2", 50.0)

    def tamper(self) -> int:
        """Change an effect of the first file; return the number of its event."""
        with self.one.open("rb") as file:
            frames = list(read_frames(file.read))
        index = next(
            i for i, f in enumerate(frames) if isinstance(f, Step) and b"n1" in bytes(f.effects)
        )
        step = frames[index]
        assert isinstance(step, Step)
        false = msgspec.Raw(bytes(step.effects).replace(b"n1", b"n9"))
        frames[index] = msgspec.structs.replace(step, effects=false)
        self.one.write_bytes(b"".join(map(pack, frames)))
        return index

    def test_a_replay_says_that_the_effects_are_the_same(self) -> None:
        status, out, err = self.p2pnet("replay", str(self.one), str(self.two))
        self.assertEqual((status, err, out.count("\n")), (0, "", 2), out)
        self.assertIn("one.rec: n1: the same effects for", out)
        self.assertIn("the node was stopped", out)

    def test_the_steps_of_all_files_are_told_in_the_order_of_time(self) -> None:
        status, out, _ = self.p2pnet("replay", "--steps", str(self.one), str(self.two))
        lines = out.splitlines()[:-2]
        self.assertEqual(status, 0)
        times = [line.split()[0] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertIn(" n2: recorded 'n2' (n2)", out)
        self.assertLess(out.index(" n2: is active"), out.index(" n1: is active"))

    def test_the_document_of_a_replay_has_files_and_steps(self) -> None:
        words = ("replay", "--json", "--steps", str(self.one))
        document = json.loads(self.p2pnet(*words)[1])
        self.assertTrue(document["same"])
        self.assertEqual(document["files"][0]["node"], "n1")
        self.assertIsNone(document["files"][0]["difference"])
        self.assertIn("record", {step["kind"] for step in document["steps"]})
        self.assertEqual(json.loads(self.p2pnet("replay", "--json", str(self.one))[1])["steps"], [])

    def test_the_first_difference_is_shown_with_what_was_expected(self) -> None:
        event = self.tamper()
        status, out, _ = self.p2pnet("replay", str(self.one), str(self.two))
        self.assertEqual(status, 1)
        self.assertIn(f"one.rec: n1: event {event} at ", out)
        expected, got = (line for line in out.splitlines() if line.startswith("  "))
        self.assertIn("n9", expected)
        self.assertIn("n1", got)
        self.assertIn("two.rec: n2: the same effects", out)
        document = json.loads(self.p2pnet("replay", "--json", str(self.one))[1])
        self.assertEqual(document["files"][0]["difference"]["event"], event)

    def test_a_difference_far_behind_the_beginning_of_an_effect_is_shown(self) -> None:
        """The whole effect would fill a screen; what is cut off is not where they part."""
        body = b"x" * 1500
        for at in (0, 100, 399, 400, 700, 1499):
            with self.subTest(at):
                other = body[:at] + b"y" + body[at + 1 :]
                for expected, got in (
                    apart(repr(body), repr(other)),
                    apart(repr(other), repr(body))[::-1],
                ):
                    self.assertNotIn("y", expected)
                    self.assertIn("y", got)
                    self.assertLessEqual(max(len(expected), len(got)), SHOWN)
                    self.assertEqual(expected[:2], "b'")
                    self.assertEqual(expected.index("…") < SHOWN - 1, at >= SHOWN // 2)

    def test_an_effect_that_ends_sooner_is_shown_to_its_end(self) -> None:
        expected, got = apart("a" * 1000, "a" * 900)
        self.assertNotEqual(expected, got)
        self.assertTrue(got.endswith("a"), got)

    def test_a_short_difference_is_shown_whole(self) -> None:
        self.assertEqual(apart("Send(1)", "Record(2)"), ("Send(1)", "Record(2)"))

    def test_effects_that_read_the_same_and_are_other_bytes_are_called_so(self) -> None:
        with self.one.open("rb") as file:
            frames = list(read_frames(file.read))
        index, step = next(
            (i, f) for i, f in enumerate(frames)
            if isinstance(f, Step) and any(isinstance(e, Record) for e in unpack_effects(f) or ())
        )  # fmt: skip
        effects = [
            msgspec.structs.replace(e, created=int(e.created)) if isinstance(e, Record) else e
            for e in unpack_effects(step) or []
        ]  # the message was made at a whole second
        self.assertEqual(effects, unpack_effects(step))
        changed = pack_effects(effects)
        self.assertNotEqual(bytes(changed), bytes(step.effects))
        frames[index] = msgspec.structs.replace(step, effects=changed)
        self.one.write_bytes(b"".join(map(pack, frames)))
        status, out, _ = self.p2pnet("replay", str(self.one))
        self.assertEqual(status, 1)
        self.assertIn("expected: effects that read the same, in other bytes", out)
        self.assertIn("got:      [", out)

    def test_a_file_that_is_cut_off_is_replayed_up_to_there(self) -> None:
        self.one.write_bytes(self.one.read_bytes()[:-30])
        status, out, _ = self.p2pnet("replay", str(self.one))
        self.assertEqual(status, 0)
        self.assertIn("; cut off", out)

    def test_damage_in_the_middle_is_told_and_the_others_go_on(self) -> None:
        with self.one.open("rb") as file:
            frames = [pack(frame) for frame in read_frames(file.read)]
        self.one.write_bytes(b"".join(frames[:3]) + b"\0\0\0\2\xc1\xc1" + b"".join(frames[3:]))
        status, out, _ = self.p2pnet("replay", str(self.one), str(self.two))
        self.assertEqual(status, 1)
        self.assertIn("the same effects for 2 events, and then it is damaged", out)
        self.assertIn("two.rec: n2: the same effects", out)

    def test_a_directory_stands_for_the_recordings_in_it(self) -> None:
        (self.root / "notes.txt").write_text("Dear diary")
        self.two.rename(self.root / "one.rec.1")
        status, out, err = self.p2pnet("replay", str(self.root))
        self.assertEqual((status, err, out.count("\n")), (0, "", 2), out)
        self.assertIn("one.rec.1: n2: the same effects for", out)

    def test_a_directory_without_recordings_is_one_line(self) -> None:
        empty = self.root / "empty"
        empty.mkdir()
        status, out, err = self.p2pnet("replay", str(empty))
        self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)
        self.assertIn(f"no recording in {empty}", err)

    def test_what_is_no_recording_is_one_line(self) -> None:
        self.one.write_text("Dear diary")
        for path in (self.one, self.root / "absent.rec", self.root):
            status, out, err = self.p2pnet("replay", str(path))
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)
            self.assertIn(str(path), err)
