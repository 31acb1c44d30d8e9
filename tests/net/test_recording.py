"""Recording real services and replaying what they lived through."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import NodeRef
from chordnet.net.runtime.recorder import Recorder
from chordnet.record.recording import (
    End,
    Frame,
    Header,
    RecordedNode,
    RecordingError,
    Step,
    pack,
    read_frames,
)
from chordnet.record.replay import CUT_OFF, Replay, merged
from chordnet.testing import WALL, MemoryNetwork

ADDRESSES = [f"10.0.0.{n}:7001" for n in (1, 2, 3)]


def frames_of(path: Path) -> list[Frame]:
    with path.open("rb") as file:
        return list(read_frames(file.read))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.network = MemoryNetwork(Clock())
        self.lines: list[str] = []
        publisher = LogPublisher(lambda event: self.lines.append(formatEvent(event)))
        self.logger = Logger(namespace="chordnet.node", observer=publisher)

    def recorder(self, name: str, **options: Any) -> Recorder:
        clock = self.network.clock
        return Recorder(
            self.directory / name, seconds=clock.seconds, wall=lambda: WALL + clock.seconds(),
            logger=self.logger, **options,
        )  # fmt: skip

    def live(self, **options: Any) -> list[Path]:
        """Three nodes form a ring; one broadcasts, one is killed, the others stop in order."""
        recorders = [self.recorder(f"{n}.rec", **options) for n in (1, 2, 3)]
        services = [
            self.network.service(address, ADDRESSES[:1], name=f"Node {n}", core=recorder)
            for n, (address, recorder) in enumerate(zip(ADDRESSES, recorders, strict=True), 1)
        ]
        for service in services:
            service.startService()
        self.network.run(3)
        services[0].broadcast("apple")
        services[1].lookup("a-key")
        self.network.run(1)
        self.network.kill(ADDRESSES[2])
        self.network.run(3)
        for service, recorder in zip(services[:2], recorders[:2], strict=True):
            service.stopService()
            self.network.run(2)
            recorder.close()
        return [recorder.path for recorder in recorders]


class ReplayTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.paths = self.live()

    def replay(self, path: Path) -> Replay:
        return Replay(frames_of(path))

    def test_every_life_is_the_same_again(self) -> None:
        for path in self.paths:
            replay = self.replay(path).run()
            self.assertIsNone(replay.difference)
            self.assertEqual(replay.events, len(frames_of(path)) - (1 + (path != self.paths[2])))
            self.assertGreater(replay.events, 50)

    def test_the_core_ends_in_the_same_state(self) -> None:
        replay = self.replay(self.paths[2]).run()
        self.assertEqual(replay.core.status().name, "ACTIVE")
        self.assertEqual(replay.node, "Node 3")

    def test_a_replay_tells_how_the_life_ended(self) -> None:
        ends = [self.replay(path).run().end for path in self.paths]
        self.assertEqual(ends, ["the node was stopped", "the node was stopped", CUT_OFF])

    def test_the_history_of_the_ring_is_told_in_the_order_of_time(self) -> None:
        moments = list(merged(self.replay(path) for path in self.paths))
        times = [moment.wall for moment in moments]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], WALL)
        told = [(moment.node, moment.text) for moment in moments]
        for node in ("Node 1", "Node 2", "Node 3"):
            self.assertTrue(any(n == node and t.startswith("is active") for n, t in told), told)
            self.assertTrue(any(n == node and "recorded 'apple'" in t for n, t in told), told)
        self.assertIn(("Node 1", "confirmed: recorded by 3"), told)
        self.assertIn(("Node 1", "Node 3 is dead"), told)
        self.assertIn(("Node 2", "has left the ring"), told)

    def test_another_seed_is_another_life(self) -> None:
        header, *rest = frames_of(self.paths[0])
        assert isinstance(header, Header)
        other = msgspec.structs.replace(header, seed=header.seed ^ 1)
        self.assertIsNotNone(Replay([other, *rest]).run().difference)

    def test_other_settings_are_another_life(self) -> None:
        header, *rest = frames_of(self.paths[0])
        assert isinstance(header, Header)
        config = header.config | {"successors": 1}
        changed = msgspec.structs.replace(header, config=config)
        self.assertIsNotNone(Replay([changed, *rest]).run().difference)

    def test_a_tampered_effect_is_the_first_difference(self) -> None:
        frames = frames_of(self.paths[0])
        index = next(
            i
            for i, f in enumerate(frames)
            if isinstance(f, Step) and b"10.0.0.2" in bytes(f.effects)
        )
        step = frames[index]
        assert isinstance(step, Step)
        false = msgspec.Raw(bytes(step.effects).replace(b"10.0.0.2", b"10.0.0.9"))
        frames[index] = msgspec.structs.replace(step, effects=false)
        difference = Replay(frames).run().difference
        assert difference is not None
        self.assertEqual(difference.event, index)
        self.assertIn("10.0.0.9", difference.expected)
        self.assertIn("10.0.0.2", difference.got)
        self.assertNotEqual(difference.what, "")
        self.assertGreaterEqual(difference.seconds, 0)

    def test_an_event_that_is_missing_shows(self) -> None:
        frames = frames_of(self.paths[0])
        shown = 0
        for missing in range(15, 35):  # some of them nothing follows from
            rest = [*frames[:missing], *frames[missing + 1 :]]
            shown += Replay(rest).run().difference is not None
        self.assertGreater(shown, 5)

    def test_a_file_cut_off_anywhere_replays_up_to_there(self) -> None:
        data = self.paths[2].read_bytes()
        whole = self.replay(self.paths[2]).run().events
        for size in (len(data) - 1, len(data) * 2 // 3, len(data) // 2 + 1):
            replay = Replay(read_frames(io.BytesIO(data[:size]).read)).run()
            self.assertIsNone(replay.difference)
            self.assertEqual(replay.end, CUT_OFF)
            self.assertLess(replay.events, whole)
            self.assertGreater(replay.events, 10)


class FormatTests(Case):
    def refuse(self, data: bytes, expected: str) -> None:
        with self.assertRaises(RecordingError) as caught:
            Replay(read_frames(io.BytesIO(data).read)).run()
        self.assertIn(expected, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_what_is_no_recording_is_refused(self) -> None:
        self.refuse(b"", "does not begin like a recording")
        self.refuse(b"once upon a time there was a node", "no recording")
        self.refuse(pack(End(0, "at once")), "does not begin like a recording")
        self.refuse((3).to_bytes(4) + b"\xc1\xc1\xc1", "no recording")
        for size, why in ((0, "no recording at all"), (1, "no recording at all (")):
            self.refuse(size.to_bytes(4) + b"\xc1" * size, why)

    def test_another_format_and_other_settings_are_refused(self) -> None:
        header = frames_of(self.live()[0])[0]
        assert isinstance(header, Header)
        changed = msgspec.structs.replace(header, format=99)
        self.refuse(pack(changed), "its format is 99")
        changed = msgspec.structs.replace(header, config=header.config | {"colour": "red"})
        self.refuse(pack(changed), "settings are not this version's")
        self.refuse(pack(header) + pack(header), "a second header follows event 0")
        event = msgspec.Raw(msgspec.msgpack.encode({"type": "Rain"}))
        step = Step(0.0, event, msgspec.Raw(b"\x90"))
        self.refuse(pack(header) + pack(step), "an event cannot be read")

    def test_a_step_that_failed_is_recorded_with_its_exception(self) -> None:
        header = frames_of(self.live()[2])[0]
        assert isinstance(header, Header)
        written: list[bytes] = []
        node = RecordedNode(ProtocolConfig(), header.me, 1, written.append)
        self.assertRaises(KeyError, node.step, "no event at all", 0.0)
        (step,) = read_frames(io.BytesIO(written[0]).read)
        assert isinstance(step, Step)
        self.assertTrue(step.error.startswith("KeyError: "), step.error)

    def test_an_exception_that_does_not_come_again_is_a_difference(self) -> None:
        header, *steps = frames_of(self.live()[2])
        assert isinstance(steps[0], Step)
        failed = msgspec.structs.replace(steps[0], error="KeyError: 5")
        difference = Replay([header, failed]).run().difference
        assert difference is not None
        self.assertEqual(difference.expected, "KeyError: 5")
        self.assertIn("effects", difference.got)


class RecorderTests(Case):
    def test_a_recorder_at_its_limit_ends_and_says_so(self) -> None:
        path = self.live(max_bytes=8192)[0]
        self.assertLessEqual(path.stat().st_size, 8192)
        end = frames_of(path)[-1]
        assert isinstance(end, End)
        self.assertEqual(end.reason, "the limit of 8192 bytes was reached")
        self.assertEqual(end.steps, len(frames_of(path)) - 2)
        self.assertIsNone(Replay(frames_of(path)).run().difference)
        said = [line for line in self.lines if "stopped recording" in line]
        self.assertEqual(len([line for line in said if line.startswith("Node 1")]), 1)

    def begun(self, max_bytes: int) -> tuple[Recorder, int]:
        """Return a recorder that has begun, and how long its file is by now."""
        recorder = self.recorder("node.rec", max_bytes=max_bytes)
        me = NodeRef(bytes(20), 1, ADDRESSES[0], "Node 1")
        recorder(ProtocolConfig(), me, random.Random(1))
        return recorder, recorder.path.stat().st_size

    def test_a_recording_may_be_as_long_as_its_limit_less_256_bytes_for_the_end(self) -> None:
        recorder, header = self.begun(8192)
        recorder._write_step(b"x" * 100)
        recorder._write_step(b"x" * (8192 - header - 100 - 256))
        self.assertEqual((recorder.path.stat().st_size, recorder.steps), (8192 - 256, 2))
        self.assertEqual(self.lines, [])
        recorder._write_step(b"x")
        self.assertEqual(
            self.lines,
            [
                f"Node 1: stopped recording: {recorder.path} has reached its limit of 8192 bytes",
            ],
        )
        end = pack(End(2, "the limit of 8192 bytes was reached"))
        self.assertTrue(recorder.path.read_bytes().endswith(b"x" + end))
        recorder._write_step(b"x")
        recorder.close()
        self.assertEqual((recorder.path.stat().st_size, recorder.steps), (7936 + len(end), 2))

    def test_every_life_counts_its_own_steps_and_has_the_whole_room(self) -> None:
        recorder, header = self.begun(8192)
        recorder._write_step(b"x" * 5000)
        recorder.close()
        me = NodeRef(bytes(20), 1, ADDRESSES[0], "Node 1")
        recorder(ProtocolConfig(), me, random.Random(1))
        self.assertEqual(recorder.steps, 0)
        recorder._write_step(b"x" * 5000)
        self.assertEqual((recorder.path.stat().st_size, recorder.steps), (header + 5000, 1))
        self.assertEqual((recorder.path.parent / "node.rec.1").stat().st_mode & 0o777, 0o600)
        self.assertEqual(recorder.path.stat().st_mode & 0o777, 0o600)
        recorder.close()

    def test_an_empty_file_is_no_life_to_be_kept(self) -> None:
        (self.directory / "node.rec").touch(mode=0o644)
        recorder, _header = self.begun(8192)
        recorder.close()
        self.assertFalse((self.directory / "node.rec.1").exists())
        self.assertEqual(recorder.path.stat().st_mode & 0o777, 0o600)

    def test_whether_a_file_can_be_written_is_checked_without_changing_it(self) -> None:
        recorder = self.recorder("node.rec")
        recorder.check()
        self.assertEqual(recorder.path.read_bytes(), b"")
        recorder.path.write_bytes(b"x")
        recorder.check()
        self.assertEqual(recorder.path.read_bytes(), b"x")
        elsewhere = self.recorder("no/such/directory.rec")
        error = self.assertRaises(ConfigError, elsewhere.check)
        self.assertEqual(
            str(error), f"cannot record to {elsewhere.path}: No such file or directory"
        )

    def test_the_life_before_is_kept(self) -> None:
        recorder = self.recorder("node.rec")
        service = self.network.service(ADDRESSES[0], name="Node 1", core=recorder)
        for _ in range(2):
            service.startService()
            self.network.run(3)
            service.stopService()
            self.network.run(3)
            recorder.close()
        lives = [Replay(frames_of(self.directory / name)) for name in ("node.rec.1", "node.rec")]
        first, second = (replay.run().header.me.incarnation for replay in lives)
        self.assertLess(first, second)
        self.assertEqual([replay.difference for replay in lives], [None, None])

    def test_a_place_that_cannot_be_written_is_said_at_once(self) -> None:
        recorder = self.recorder("no/such/directory.rec")
        service = self.network.service(ADDRESSES[0], core=recorder)
        service.startService()
        failure = self.failureResultOf(service.started(), ConfigError)
        self.assertIn("cannot record to", str(failure.value))
        self.assertIn("No such file", str(failure.value))

    def test_a_full_disk_ends_the_recording_and_not_the_node(self) -> None:
        recorder = self.recorder("node.rec")
        service = self.network.service(ADDRESSES[0], name="Node 1", core=recorder)
        service.startService()
        full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - the recorder closes it
        assert recorder._file is not None
        recorder._file.close()
        recorder._file = full
        self.network.run(4)
        self.assertTrue(service.node is not None and service.node.active)
        self.assertTrue(full.closed)
        self.assertEqual(len([line for line in self.lines if "No space left" in line]), 1)
        service.stopService()
        self.network.run(3)

    def test_the_settings_of_a_node_come_back_from_its_recording(self) -> None:
        config = ProtocolConfig(bits=32, successors=3)
        recorder = self.recorder("node.rec")
        service = self.network.service(ADDRESSES[0], config=config, core=recorder)
        service.startService()
        self.network.run(3)
        self.assertEqual(Replay(frames_of(recorder.path)).core.config, config)
        service.stopService()
        self.network.run(3)
        recorder.close()
