"""Faults as data, their application by a fake engine, and the bytes that the kernel is sent."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.description import ranges
from chordnet.survey.errors import NetworkNotRunning, NodeStopped, TestbedError
from chordnet.testbed.actions import chaos
from chordnet.testbed.actions.chaos import Acted
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.lifecycle import stop_network
from chordnet.testbed.base import netlink
from chordnet.testbed.base.faults import (
    FILE,
    Faults,
    Line,
    WrongFault,
    forget_faults,
    load_faults,
    save_faults,
)
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines import docker
from tests.unit.testbed_fakes import World, network

FIVE = network(5)


class FaultTests(SynchronousTestCase):
    def wrong(self, change: Any, *arguments: Any) -> str:
        return str(self.assertRaises(WrongFault, change, *arguments))

    def test_a_partition_has_the_rest_as_a_side(self) -> None:
        faults = Faults().with_partition([{1, 2}], range(1, 6))
        self.assertEqual(faults.sides, (frozenset({1, 2}), frozenset({3, 4, 5})))
        self.assertEqual(faults.line(1, range(1, 6)), Line(cut=frozenset({3, 4, 5})))
        self.assertEqual(faults.line(4, range(1, 6)), Line(cut=frozenset({1, 2})))

    def test_a_node_that_came_later_is_on_the_last_side(self) -> None:
        faults = Faults().with_partition([{1, 2}], range(1, 6))
        self.assertEqual(faults.line(6, range(1, 7)).cut, frozenset({1, 2}))
        self.assertEqual(faults.line(1, range(1, 7)).cut, frozenset({3, 4, 5, 6}))

    def test_partitions_that_make_no_sense_are_refused(self) -> None:
        everybody = range(1, 6)
        self.assertIn(
            "two sides", self.wrong(Faults().with_partition, [{1, 2, 3, 4, 5}], everybody)
        )
        self.assertIn("one side", self.wrong(Faults().with_partition, [{1, 2}, {2}], everybody))

    def test_delay_and_loss_of_a_line_last_until_they_are_set_to_0(self) -> None:
        faults = Faults().with_delay({1, 2}, 80, 20).with_loss({2}, 5)
        self.assertEqual(faults.line(2, range(1, 6)), Line(frozenset(), 80, 20, 5))
        self.assertTrue(faults.line(3, range(1, 6)).sound)
        ended = faults.with_delay({1, 2}, 0, 0).with_loss({1, 2}, 0)
        self.assertEqual(ended, Faults())

    def test_the_most_that_makes_sense_is_taken(self) -> None:
        faults = Faults().with_delay({1}, 10_000, 10_000).with_loss({1}, 100).with_loss({2}, 0.1)
        self.assertEqual((faults.delays, faults.losses), ({1: (10_000, 10_000)}, {1: 100, 2: 0.1}))

    def test_what_is_in_force_is_said_in_words(self) -> None:
        faults = (
            Faults(killed=frozenset({1, 2}), frozen=frozenset({3}), off=frozenset({4}))
            .with_partition([{1}], range(1, 4))
            .with_delay({1, 2}, 80, 20)
            .with_delay({3}, 80, 0)
            .with_loss({2}, 0.5)
        )
        self.assertEqual(
            faults.texts,
            [
                "killed 1-2", "frozen 3", "disconnected 4", "delay of 80 ms +- 20 ms at 1-2",
                "delay of 80 ms at 3", "loss of 0.5 % at 2", "partition 1 | 2-3",
            ],
        )  # fmt: skip
        self.assertEqual(Faults().texts, [])

    def test_every_fault_is_a_document_and_comes_back_from_it(self) -> None:
        faults = (
            Faults(killed=frozenset({2, 1}), frozen=frozenset({3}))
            .with_partition([{1}], range(1, 4))
            .with_delay({2}, 80, 20)
            .with_loss({2}, 0.5)
        )
        document = {
            "killed": [1, 2], "frozen": [3], "sides": [[1], [2, 3]],
            "delays": {"2": [80, 20]}, "losses": {"2": 0.5},
        }  # fmt: skip
        self.assertEqual(faults.document(), document)
        self.assertEqual(Faults.from_document(json.loads(json.dumps(document))), faults)

    def test_delays_and_losses_that_make_no_sense_are_refused(self) -> None:
        for delay in ((-1, 0), (10_001, 0), (5, 6), (5, -1), (float("nan"), 0)):
            self.assertIn("a delay is from 0", self.wrong(Faults().with_delay, {1}, *delay))
        for loss in (-1, 101, float("nan")):
            self.assertIn("a loss is from 0", self.wrong(Faults().with_loss, {1}, loss))

    def test_parts_are_what_ought_to_be_a_ring(self) -> None:
        faults = Faults(frozen=frozenset({2})).with_partition([{1, 2}], range(1, 6))
        self.assertEqual(faults.parts({1, 2, 3, 5}), [frozenset({1}), frozenset({3, 5})])
        self.assertEqual(Faults().parts({1, 2}), [frozenset({1, 2})])
        self.assertEqual(Faults(frozen=frozenset({1})).parts({1}), [])

    def test_each_fault_has_its_text(self) -> None:
        faults = Faults(killed=frozenset({9}), frozen=frozenset({2, 3, 5}))
        faults = faults.with_partition([{1, 2}], range(1, 6)).with_delay({4}, 80, 20)
        self.assertEqual(
            faults.with_loss({1}, 2.5).texts,
            [
                "killed 9", "frozen 2-3, 5", "delay of 80 ms +- 20 ms at 4", "loss of 2.5 % at 1",
                "partition 1-2 | 3-5",
            ],
        )  # fmt: skip
        self.assertEqual(Faults().texts, [])

    @given(st.frozensets(st.integers(1, 300)))
    def test_ranges_lose_nothing(self, numbers: frozenset[int]) -> None:
        read: set[int] = set()
        for text in filter(None, ranges(numbers).split(", ")):
            first, _, last = text.partition("-")
            read |= set(range(int(first), int(last or first) + 1))
        self.assertEqual(read, numbers)

    def test_faults_are_kept_and_forgotten(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "default")
        faults = Faults(killed=frozenset({9}), frozen=frozenset({3}))
        faults = faults.with_partition([{1}], range(1, 4)).with_delay({2}, 1.5, 0).with_loss({1}, 7)
        save_faults(home, faults)
        self.assertEqual(load_faults(home), faults)
        forget_faults(home)
        self.assertEqual(load_faults(home), Faults())
        save_faults(home, faults)
        save_faults(home, Faults())
        self.assertFalse((home.directory / FILE).exists())

    def test_a_file_that_is_something_else_is_named(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "default")
        home.directory.mkdir(parents=True)
        for text in ("", "{}", "[1]", '{"killed": 5}'):
            (home.directory / FILE).write_text(text)
            self.assertIn("remove it", str(self.assertRaises(TestbedError, load_faults, home)))


class ActTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.world.clock.advance(1000.0)  # as on a machine that did not start just now
        self.world.up()

    def deferred(self, change: chaos.Change, timeout: float = 10) -> Deferred[Acted]:
        done = Deferred.fromCoroutine(chaos.act(self.world.testbed, change, timeout))
        self.world.clock.pump([0.1] * 400)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertEqual(self.world.nodes.open, 0)
        return done

    def act(self, change: chaos.Change) -> Acted:
        return self.successResultOf(self.deferred(change))

    def error(self, change: chaos.Change, kind: type[Exception] = TestbedError) -> str:
        return str(self.failureResultOf(self.deferred(change), kind).value)

    @property
    def in_force(self) -> Faults:
        return load_faults(self.world.testbed.home)

    def partition(self, *groups: set[int]) -> chaos.Change:
        return lambda old, described: old.with_partition(groups, described.numbers)

    def test_freezing_and_thawing_change_what_ought_to_be_a_ring(self) -> None:
        outcome = self.act(chaos.freeze({2, 4}))
        self.assertEqual([part.nodes for part in outcome.before], [(1, 2, 3, 4, 5)])
        self.assertEqual([part.nodes for part in outcome.after], [(1, 3, 5)])
        self.assertTrue(outcome.right)
        self.assertLess(outcome.seconds, 1.0)
        self.assertEqual(self.in_force, Faults(frozen=frozenset({2, 4})))
        outcome = self.act(chaos.thaw({2}))
        self.assertEqual([part.nodes for part in outcome.after], [(1, 2, 3, 5)])
        outcome = self.act(chaos.thaw(()))
        self.assertEqual([part.nodes for part in outcome.after], [(1, 2, 3, 4, 5)])
        self.assertEqual(self.in_force, Faults())
        self.assertEqual(self.world.engine.calls, ["freeze [2, 4]", "thaw [2]", "thaw [4]"])

    def test_with_all_nodes_frozen_no_ring_is_judged(self) -> None:
        outcome = self.act(chaos.freeze(range(1, 6)))
        self.assertEqual(outcome.after, ())

    def test_a_kill_is_on_purpose_and_healing_brings_back(self) -> None:
        self.act(chaos.kill({3}))
        described = self.world.testbed.description()
        self.assertEqual((described.removed, self.world.engine.alive), ({3}, {1, 2, 4, 5}))
        outcome = self.act(chaos.heal)
        self.assertEqual([part.nodes for part in outcome.after], [(1, 2, 3, 4, 5)])
        self.assertEqual(self.world.testbed.description().removed, frozenset())
        self.assertEqual(self.in_force, Faults())
        self.assertEqual(self.world.engine.calls, ["kill [3]", "prepare", "start [3]"])

    def test_a_node_that_was_brought_back_by_hand_is_not_killed_any_more(self) -> None:
        self.act(chaos.kill({3}))
        self.world.engine.alive.add(3)
        self.act(chaos.freeze({1}))
        self.assertEqual(self.in_force, Faults(frozen=frozenset({1})))

    def test_what_does_not_run_can_be_neither_frozen_nor_killed(self) -> None:
        self.world.engine.alive.remove(3)
        for change in (chaos.freeze({3}), chaos.kill({3})):
            self.assertIn("Node 3 is stopped", self.error(change, NodeStopped))
        self.assertEqual(self.in_force, Faults())
        self.assertEqual(self.world.engine.calls, [])

    def test_each_side_of_a_partition_is_judged_by_itself(self) -> None:
        outcome = self.act(self.partition({1, 2}))
        self.assertEqual([part.nodes for part in outcome.after], [(1, 2), (3, 4, 5)])
        self.assertTrue(outcome.right)
        self.assertEqual(self.world.engine.lines[1].cut, {3, 4, 5})
        outcome = self.act(chaos.heal)
        self.assertEqual([part.nodes for part in outcome.before], [(1, 2), (3, 4, 5)])
        self.assertEqual([part.nodes for part in outcome.after], [(1, 2, 3, 4, 5)])
        self.assertTrue(all(line.sound for line in self.world.engine.lines.values()))

    def test_only_lines_that_are_or_were_wrong_are_touched(self) -> None:
        self.act(lambda old, _: old.with_delay({2}, 80, 0))
        self.act(lambda old, _: old.with_loss({4}, 5))
        self.act(lambda old, _: old.with_delay({2}, 0, 0))
        calls = ["shape [2]", "shape [2, 4]", "shape [2, 4]"]
        self.assertEqual(self.world.engine.calls, calls)
        self.assertEqual(self.world.engine.lines[2], Line())

    def test_what_the_engine_cannot_do_changes_nothing(self) -> None:
        self.act(chaos.freeze({5}))
        self.world.engine.cannot_shape = "no lines here"
        self.assertEqual(self.error(self.partition({1})), "no lines here")
        self.assertEqual(self.in_force, Faults(frozen=frozenset({5})))
        self.assertTrue(all(line.sound for line in self.world.engine.lines.values()))

    def test_lines_that_were_changed_before_the_engine_failed_are_what_they_were_again(
        self,
    ) -> None:
        self.act(lambda old, _: old.with_delay({2}, 80, 0))
        self.world.engine.cannot_shape = "no loss here"
        self.assertEqual(self.error(lambda old, _: old.with_loss({4}, 5)), "no loss here")
        *_, tried, undone = self.world.engine.shaped
        slow = Line(delay_ms=80.0)
        self.assertEqual(tried, {2: slow, 4: Line(loss_percent=5.0)})
        self.assertEqual(undone, {2: slow, 4: Line()})

    def test_a_ring_that_does_not_settle_is_told_with_its_problems(self) -> None:
        self.world.engine.settles = False
        outcome = self.act(chaos.kill({3}))
        self.assertFalse(outcome.right)
        self.assertLess(abs(outcome.seconds - 10), 2.5)
        self.assertTrue(any(3 in problem.nodes for problem in outcome.after[0].problems))

    def test_a_wait_is_given_up_when_the_time_is_up_and_not_a_look_later(self) -> None:
        self.world.engine.settles = False
        done = Deferred.fromCoroutine(chaos.act(self.world.testbed, chaos.kill({3}), 2))
        self.world.clock.pump([0.5] * 20)
        self.assertEqual(self.successResultOf(done).seconds, 2.0)

    def test_a_network_that_never_was_leaves_no_directory_behind(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "default")
        testbed = Testbed(self.world.clock, home, self.world.nodes.connect)
        done = Deferred.fromCoroutine(chaos.act(testbed, chaos.heal, 5))
        self.failureResultOf(done, NetworkNotRunning)
        self.assertFalse(home.directory.exists())

    def test_stopping_the_network_forgets_everything(self) -> None:
        self.act(chaos.freeze({5}))
        stopping = Deferred.fromCoroutine(stop_network(self.world.testbed, purge=False, timeout=9))
        self.world.clock.pump([0.1] * 50)
        self.successResultOf(stopping)
        self.assertEqual(self.in_force, Faults())
        self.assertIn("not running", self.error(chaos.heal, NetworkNotRunning))


class NetlinkTests(SynchronousTestCase):
    def test_a_line_is_cut_by_a_neighbour_that_nobody_is(self) -> None:
        """struct ndmsg, then NDA_DST and NDA_LLADDR (rtnetlink(7))."""
        body = netlink.neighbour(7, "172.18.0.9")
        family, _, _, device, state, _, _ = struct.unpack_from("=BBHiHBB", body)
        self.assertEqual((family, device, state), (socket.AF_INET, 7, 0x80))
        rest = body[12:]
        self.assertEqual(rest[:8], struct.pack("=HH", 8, 1) + bytes([172, 18, 0, 9]))
        hardware = bytes.fromhex(netlink.NOBODY.replace(":", ""))
        self.assertEqual(rest[8:18], struct.pack("=HH", 10, 2) + hardware)
        self.assertEqual(len(body) % 4, 0)
        self.assertEqual(hardware[0] & 3, 2)  # locally administered, and no group's

    def test_delay_and_loss_are_what_the_kernel_calls_netem(self) -> None:
        """struct tcmsg, TCA_KIND, and in TCA_OPTIONS struct tc_netem_qopt and its attributes."""
        body = netlink.netem(7, 80, 20, 50)
        self.assertEqual(struct.unpack_from("=BBHiII", body)[3:], (7, 0x63680000, 0xFFFFFFFF))
        self.assertIn(b"netem\0", body)
        (loss,) = struct.unpack_from("=I", body, body.index(b"netem") + 8 + 4 + 8)
        self.assertAlmostEqual(loss / 0xFFFFFFFF, 0.5, 6)
        self.assertIn(struct.pack("=HHq", 12, 10, 80_000_000), body)
        self.assertIn(struct.pack("=HHq", 12, 11, 20_000_000), body)

    def test_a_container_is_told_only_of_nodes_that_have_an_address(self) -> None:
        """A node that does not run, or has no address at the moment, cannot be cut off from."""
        containers = {
            n: {"NetworkSettings": {"Networks": {"default": {"IPAddress": address}}}}
            for n, address in ((1, "172.18.0.2"), (2, "172.18.0.3"), (3, ""))
        }
        line = Line(cut=frozenset({2, 3, 4}))
        self.assertEqual(
            docker._wanted(1, 77, line, containers),
            {"node": 1, "pid": 77, "cut": ["172.18.0.3"], "netem": None},
        )
        slow = docker._wanted(1, 77, Line(delay_ms=80, loss_percent=5), containers)
        self.assertEqual(slow, {"node": 1, "pid": 77, "cut": [], "netem": [80, 0, 5]})
        self.assertEqual(docker._wanted(1, 77, Line(), containers)["netem"], None)

    def test_the_script_runs_without_any_package(self) -> None:
        source = docker._python([])[4]
        words = [sys.executable, "-I", "-S", "-c", source]
        done = subprocess.run([*words, "[]"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        wanted = json.dumps(  # above every pid
            [{"node": 4, "pid": 2**22 + 1, "cut": [], "netem": None}]
        )
        done = subprocess.run([*words, wanted], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, netlink.GONE)
        self.assertIn("the network of node 4 cannot be entered: No such", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_the_neighbours_that_an_earlier_run_silenced_are_found(self) -> None:
        arp = (
            "IP address       HW type     Flags       HW address            Mask     Device\n"
            "172.18.0.1       0x1         0x2         02:42:c0:a8:d0:03     *        eth0\n"
            f"172.18.0.9       0x1         0x6         {netlink.NOBODY}     *        eth0\n"
        )
        self.assertEqual(netlink.silenced(arp), ["172.18.0.9"])
