"""What whole runs of simulated stores come to, figure by figure, and that they can fail.

``golden/stores.json`` has the figures of each run. They change with the protocol; a change on
purpose is written down anew with ``python -m tests.sim.test_store_runs``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import attrs
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.records import EMPTY, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.node.talk import letters, read
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import Action, Outcome, line_of
from chordnet.sim.store import __main__ as command
from chordnet.sim.store.clients import Mix, again, recorded
from chordnet.sim.store.liar import Liar, Lies
from chordnet.sim.store.trials import Plan, Report, _Faults, _read_all, _why, in_step, run
from chordnet.sim.store.world import Disk, StoreWorld

GOLDEN = Path(__file__).with_name("golden") / "stores.json"
SMALL = Plan(nodes=5, keys=4, clients=3, operations=120, fault_s=0.7, slots=8)
PLANS: dict[str, tuple[int, Plan]] = {
    "calm": (1, attrs.evolve(SMALL, quiet=True)),
    "one founder": (2, attrs.evolve(SMALL, founders=1, quiet=True, operations=60)),
    "faults": (3, SMALL),
    "many faults": (4, attrs.evolve(SMALL, fault_s=0.2, operations=200)),
    "seven nodes": (5, attrs.evolve(SMALL, nodes=7, fault_s=0.3, operations=300)),
    "few slots": (6, attrs.evolve(SMALL, slots=2, fault_s=0.4)),
    "a liar": (8, attrs.evolve(SMALL, liars=1, fault_s=0.5)),
    "two liars": (9, attrs.evolve(SMALL, nodes=6, liars=2)),
    "writes only": (7, attrs.evolve(SMALL, mix=Mix(get=0.1, put=0.5, change=0.2, again=1.0))),
}


def figures(report: Report) -> dict[str, Any]:
    lines = b"".join(map(line_of, report.history))
    return {
        "problems": report.problems,
        "outcomes": dict(sorted(report.outcomes.items())),
        "faults": dict(sorted(report.faults.items())),
        "seconds": round(report.seconds, 6),
        "recovered": round(report.recovered, 6),
        "history": hashlib.blake2b(lines, digest_size=8).hexdigest(),
    }


def all_figures() -> dict[str, Any]:
    return {name: figures(run(seed, plan)) for name, (seed, plan) in PLANS.items()}


class RunTests(SynchronousTestCase):
    def test_each_run_comes_to_what_it_came_to_and_none_is_wrong(self) -> None:
        expected = json.loads(GOLDEN.read_text("utf-8"))
        self.assertEqual(PLANS.keys(), expected.keys())
        for name, (seed, plan) in PLANS.items():
            found = figures(run(seed, plan))
            self.assertEqual((name, found["problems"]), (name, []))
            self.assertEqual((name, found), (name, expected[name]))

    def test_a_store_that_cannot_begin_is_a_problem_and_the_end_of_the_run(self) -> None:
        report = run(1, Plan(nodes=1, founders=2))
        self.assertEqual(report.problems, ["the store was not in step in time"])
        self.assertTrue(30.0 <= report.seconds < 31.0, report.seconds)
        self.assertEqual(report.history, [])

    def test_a_store_without_one_of_its_rules_is_found_to_be_wrong(self) -> None:
        busy = Plan(keys=2, nodes=5, slots=2, operations=600, fault_s=0.3)
        readers = Mix(get=0.6, put=0.3, change=0.05, delete=0.05, expiring=0.0)
        reading = attrs.evolve(busy, keys=1, slots=1, mix=readers)
        for rule, usual, first in (
            ("second_phase", reading, 7), ("installed_first", busy, 7), ("whole_state", busy, 49),
            ("following_promised", busy, 9),
        ):  # fmt: skip
            plan = attrs.evolve(usual, safeguards=StoreSafeguards(**{rule: False}))
            seeds = range(first, first + 40)
            found = (s for s in seeds if "history is wrong" in str(run(s, plan).problems))
            self.assertIsNotNone(next(found, None), f"{rule}: nothing found in {seeds}")


class LiarTests(SynchronousTestCase):
    """Nodes that say what is false of slots that they do not hold."""

    def test_members_that_believed_a_liar_would_never_be_right_again(self) -> None:
        off = StoreSafeguards(claims_checked=False)
        plan = attrs.evolve(SMALL, liars=1, quiet=True, operations=60, safeguards=off)
        report = run(1, plan)
        self.assertIn("said to be held by invented", str(report.problems))

    def test_every_kind_of_lie_can_be_sent_and_read(self) -> None:
        world = StoreWorld(1, ("n0", "n1", "n2"))
        for number in range(4):
            world.start(f"n{number}")
        world.liars.add("liar")
        liar = world.start("liar").node
        world.run(15.0)
        assert isinstance(liar, Liar)
        assert liar.formation is not None
        self.assertGreater(liar.lies, 100)
        lies = Lies(liar, liar.formation, Random(1))
        for kind in Lies.KINDS:
            for _ in range(20):
                lie = kind(lies, "n1")
                (letter,) = letters([lie])
                self.assertEqual(read(letter), [lie])

    def test_liars_are_left_alone_by_faults_and_need_no_seat(self) -> None:
        world = StoreWorld(1, ("n0",), slots=1)
        for name in ("liar", "n0", "n1", "n2", "n3"):
            if name == "liar":
                world.liars.add(name)
            world.start(name)
        faults = _Faults(world, Plan(nodes=4), Report(1))
        faults.going = False
        self.assertEqual({faults._some() for _ in range(50)}, {"n0", "n1", "n2", "n3"})
        world.run(20.0)
        self.assertTrue(in_step(world))
        self.assertEqual(world.processes["liar"].node.seats, 0)


class FaultTests(SynchronousTestCase):
    """What may go wrong, and when it may not."""

    def faults(self, nodes: int) -> _Faults:
        self.world = StoreWorld(1, ("n0",), slots=1)
        for number in range(nodes):
            self.world.start(f"n{number}")
        return _Faults(self.world, Plan(nodes=nodes), Report(1))

    def test_nodes_join_until_there_are_twice_as_many(self) -> None:
        for nodes in (1, 3):
            faults = self.faults(nodes)
            joined = [faults._join() for _ in range(nodes + 2)]
            self.assertEqual(joined, [True] * nodes + [False] * 2)
            self.assertEqual(len(self.world.live()), 2 * nodes)

    def test_a_node_leaves_only_while_there_are_more_than_five(self) -> None:
        for nodes, leaves in ((5, False), (6, True)):
            faults = self.faults(nodes)
            self.assertEqual(faults._leave(), leaves)
            self.assertEqual(len(faults._leaving), leaves)

    def test_three_that_neither_leave_nor_are_frozen_are_left_alone(self) -> None:
        self.assertIsNone(self.faults(3)._some())
        faults = self.faults(5)
        self.world.freeze("n1")
        self.assertEqual({faults._some() for _ in range(99)}, {"n0", "n2", "n3", "n4"})
        faults._leaving.add("n2")
        self.assertEqual({faults._some() for _ in range(9)}, {None})
        for fault in (faults._kill, faults._wipe, faults._leave, faults._freeze, faults._one_way):
            self.assertFalse(fault())
        self.assertEqual(len(self.world.live()), 5)

    def test_a_network_that_is_cut_is_not_cut_again(self) -> None:
        faults = self.faults(4)
        self.assertTrue(faults._partition())
        cut = set(self.world.cut)
        self.assertEqual(
            [faults._partition(), *(faults._one_way() for _ in range(9))], [False] * 10
        )
        self.assertEqual(self.world.cut, cut)

    def test_a_link_a_sender_or_a_receiver_may_be_cut(self) -> None:
        others = {"n1", "n2", "n3"}
        self.faults(4)
        self.world.mute("n0")
        self.assertEqual(self.world.cut, {("n0", other) for other in others})
        self.faults(4)
        self.world.deafen("n0")
        self.assertEqual(self.world.cut, {(other, "n0") for other in others})
        sizes = set()
        faults = self.faults(4)
        while len(sizes) < 2:
            if faults._one_way():
                sizes.add(len(self.world.cut))
                self.world.heal()
        self.assertEqual(sizes, {1, 3})

    def test_one_clock_at_a_time_is_far_wrong_and_is_set_right_again(self) -> None:
        faults = self.faults(4)
        faults.going = False
        self.assertTrue(faults._clock())
        self.assertFalse(faults._clock())
        self.assertEqual(sum(each.offset != 0.0 for each in self.world.live()), 1)
        self.world.run(25.0)
        self.assertEqual({each.offset for each in self.world.live()}, {0.0})
        self.assertTrue(faults._clock())

    def test_a_node_comes_back_with_a_copy_of_its_disk_that_was_taken_before(self) -> None:
        faults = self.faults(4)
        faults.going = False
        self.assertFalse(faults._bring_back(), "there is no copy")
        self.assertTrue(self.world.run(30.0, lambda: in_step(self.world)))
        self.assertTrue(faults._copy())
        ((name, copy),) = faults._copies.items()
        told: list[end.Outcome] = []
        self.assertTrue(self.world.ask(name, Put(b"k", b"v", b"r"), 4.0, told.append))
        self.world.run(5.0)
        self.assertIsInstance(told[0], end.Done)
        before = self.world.processes[name].disk
        self.assertTrue(faults._bring_back())
        after = self.world.processes[name].disk
        self.assertIs(after, copy)
        self.assertEqual((after.store, after.run), (before.store, before.run + 1))
        self.assertEqual(after.records, {})
        self.assertFalse(faults._bring_back(), "each copy is brought back once")

    def test_a_copy_of_a_disk_that_was_lost_since_is_not_brought_back(self) -> None:
        faults = self.faults(4)
        faults.going = False
        self.assertTrue(self.world.run(30.0, lambda: in_step(self.world)))
        self.assertTrue(faults._copy())
        (name,) = faults._copies
        self.world.kill(name)
        self.world.restart(name, wiped=True)
        self.world.run(30.0)
        self.assertFalse(faults._bring_back())

    def test_copies_of_disks_are_only_brought_back_if_that_is_wanted(self) -> None:
        for old_disks in (False, True):
            plan = attrs.evolve(SMALL, operations=200, fault_s=0.1, old_disks=old_disks)
            self.assertEqual("copied" in run(5, plan).faults, old_disks)

    def test_only_a_node_that_is_still_frozen_is_thawed(self) -> None:
        faults = self.faults(1)
        self.world.freeze("n0")
        for _ in range(2):
            faults._thaw("n0")
            self.assertFalse(self.world.processes["n0"].frozen)

    def test_nothing_goes_wrong_once_the_faults_have_ended(self) -> None:
        faults = self.faults(4)
        self.assertTrue(faults._clock())
        self.world.kill("n1")
        self.world.kill("n2")
        self.world.freeze("n3")
        faults._gone.add("n2")
        self.world.cut_one_way("n0", "n1")
        self.world.loss = 0.5
        faults.end()
        self.assertEqual({each.offset for each in self.world.live()}, {0.0})
        self.assertEqual([each.name for each in self.world.live()], ["n0", "n1", "n3"])
        self.assertEqual([each.frozen for each in self.world.live()], [False] * 3)
        self.assertEqual((self.world.cut, self.world.loss), (set(), 0.0))
        self.world.run(30.0)
        self.assertEqual(faults._report.faults.total(), 0)


class Answering(StoreWorld):
    """A world whose nodes answer what they are told to; None: they cannot begin."""

    def __init__(self, answers: list[end.Outcome | None]) -> None:
        super().__init__(1, ("n0",))
        self.answers = answers
        self.asked: list[tuple[str, Get | Put, float]] = []
        for number in range(len(answers)):
            self.start(f"n{number}")

    def ask(
        self, name: str, asked: Get | Put, timeout: float, done: Callable[[end.Outcome], None]
    ) -> bool:
        self.asked.append((name, asked, timeout))
        answer = self.answers[len(self.asked) % len(self.answers) - 1]
        if answer is not None:
            done(answer)
        return answer is not None


class ReadingTests(SynchronousTestCase):
    """Every key is read through every node in the end."""

    def problems(self, *answers: end.Outcome | None, keys: int = 1) -> list[str]:
        self.world, report = Answering(list(answers)), Report(1)
        _read_all(self.world, Plan(keys=keys), report)
        return report.problems

    def test_nodes_that_tell_the_same_are_right(self) -> None:
        self.assertEqual(self.problems(end.Found(PRESENT), end.Found(PRESENT), keys=2), [])
        expected = [(node, Get(key), 5.0) for key in (b"k0", b"k1") for node in ("n0", "n1")]
        self.assertEqual(self.world.asked, expected)

    def test_nodes_that_tell_of_two_versions_are_not(self) -> None:
        found = self.problems(end.Found(PRESENT), end.Found(GONE))
        self.assertEqual(found, ["k0 differs from node to node"])

    def test_a_value_that_is_read_long_after_its_end_is_told(self) -> None:
        for expires, expected in ((0.0, []), (-3.0, ["k0 is read long after its end"])):
            old = replace(PRESENT, expires=expires)
            self.assertEqual(self.problems(end.Found(old), end.Found(old)), expected)

    def test_a_node_that_cannot_read_a_key_is_told_with_what_it_said(self) -> None:
        missed = end.Unavailable(1, (A,), 3)
        found = self.problems(end.Found(PRESENT), missed, end.Untold())
        self.assertEqual(found, [f"k0 cannot be read in the end: [{missed}]"])

    def test_a_node_without_a_store_is_told(self) -> None:
        found = self.problems(end.Found(PRESENT), None)
        expected = ["n1 has no store in the end", "k0 cannot be read in the end: []"]
        self.assertEqual(found, expected)


class WorldTests(SynchronousTestCase):
    def world(self, nodes: int = 3, **options: Any) -> StoreWorld:
        founders = tuple(f"n{k}" for k in range(min(3, nodes)))
        world = StoreWorld(1, founders, slots=4, **options)
        for k in range(nodes):
            world.start(f"n{k}")
        self.assertTrue(world.run(30.0, lambda: not any(world.out_of_step())))
        return world

    def ask(self, world: StoreWorld, name: str, asked: Get | Put) -> end.Outcome:
        told: list[end.Outcome] = []
        self.assertTrue(world.ask(name, asked, 4.0, told.append))
        world.run(5.0)
        (outcome,) = told
        return outcome

    def test_what_one_node_wrote_every_other_reads(self) -> None:
        world = self.world(5)
        self.assertIsInstance(self.ask(world, "n4", Put(b"k", b"v", b"r")), end.Done)
        for name in world.processes:
            found = self.ask(world, name, Get(b"k"))
            self.assertEqual((found.content.value, found.content.version), (b"v", 1))

    def test_a_process_that_was_killed_comes_back_with_its_disk_and_a_wiped_one_does_not(self):
        world = self.world()
        store = world.processes["n1"].disk.store
        world.kill("n1")
        self.assertFalse(world.ask("n1", Get(b"k"), 1.0, lambda _outcome: None))
        self.assertIn("slot 0 misses n1", list(world.out_of_step()))
        world.restart("n1")
        self.assertEqual(world.processes["n1"].disk.store, store)
        world.kill("n1")
        world.restart("n1", wiped=True)
        self.assertNotEqual(world.processes["n1"].disk.store, store)

    def test_a_frozen_process_takes_nothing_until_it_is_thawed(self) -> None:
        world = self.world()
        world.freeze("n0")
        self.assertFalse(world.ask("n0", Get(b"k"), 1.0, lambda _outcome: None))
        self.assertIsInstance(self.ask(world, "n1", Put(b"k", b"v", b"r")), end.Done)
        self.assertTrue(world.processes["n0"].backlog)
        world.thaw("n0")
        world.run(1.0)
        self.assertEqual(world.processes["n0"].backlog, [])

    def test_the_smaller_side_of_a_partition_cannot_write_and_the_larger_can(self) -> None:
        world = self.world()
        world.partition(["n0"], ["n1", "n2"])
        world.run(2.0)
        self.assertIsInstance(self.ask(world, "n0", Put(b"k", b"a", b"1")), end.Unavailable)
        self.assertIsInstance(self.ask(world, "n1", Put(b"k", b"b", b"2")), end.Done)
        world.heal()
        world.run(3.0)
        self.assertEqual(self.ask(world, "n0", Get(b"k")).content.value, b"b")

    def test_what_is_cut_one_way_does_not_arrive_that_way(self) -> None:
        world = self.world()
        world.cut_one_way("n1", "n0")
        world.cut_one_way("n2", "n0")
        self.assertIsInstance(self.ask(world, "n0", Get(b"k")), end.Unavailable)

    def test_a_node_that_vacates_is_needed_by_no_slot_in_the_end(self) -> None:
        world = self.world(5)
        self.assertIsInstance(self.ask(world, "n1", Put(b"k", b"v", b"r")), end.Done)
        world.vacate("n0")
        self.assertTrue(world.run(60.0, lambda: not world.processes["n0"].node.seats))
        world.kill("n0")
        for name in ("n1", "n2", "n3", "n4"):
            self.assertEqual(self.ask(world, name, Get(b"k")).content.value, b"v")

    def test_a_value_expires_by_the_clocks_of_a_majority(self) -> None:
        world = self.world()
        expires = world.now + 20.0
        put = Put(b"k", b"v", b"r", expires=expires)
        self.assertIsInstance(self.ask(world, "n1", put), end.Done)
        world.processes["n0"].offset = 100.0
        self.assertEqual(self.ask(world, "n0", Get(b"k")).content.value, b"v")
        world.run(max(0.0, expires - world.now))
        gone = self.ask(world, "n1", Get(b"k"))
        self.assertEqual((gone.content.value, gone.content.version), (None, 2))

    def test_a_member_that_was_away_is_given_what_it_missed(self) -> None:
        world = self.world()
        world.kill("n2")
        world.run(1.0)
        keys = [b"k%d" % number for number in range(10)]
        for key in keys:
            self.assertIsInstance(self.ask(world, "n0", Put(key, b"v", key)), end.Done)
            if world.now > 8:
                break
        world.restart("n2")
        world.run(30.0)
        held = world.processes["n2"].disk.records
        found = {key for records in held.values() for key in records}
        written = {key for r in world.processes["n0"].disk.records.values() for key in r}
        self.assertEqual(found, written)
        self.assertTrue(written)

    def test_what_is_missing_is_told_in_words_until_nothing_is(self) -> None:
        world = StoreWorld(1, ("n0",), slots=1)
        for name in ("n0", "n1"):
            world.start(name)
        expected = ["n0 has no formation", "n1 has no formation"]
        self.assertEqual(list(world.out_of_step()), expected)
        processes = world.processes.values()
        world.run(30.0, lambda: all(each.node.founding is not None for each in processes))
        self.assertEqual(list(world.out_of_step()), ["slot 0 has 1 members"])
        self.assertTrue(world.run(30.0, lambda: not any(world.out_of_step())))
        heads = world.processes["n1"].disk.heads
        head = heads[0]
        self.assertEqual(len(head.configuration.members), 2)
        heads[0] = replace(head, sealed=True)
        self.assertEqual(list(world.out_of_step()), ["slot 0: n1 is sealed"])
        epoch = head.configuration.epoch
        heads[0] = replace(head, configuration=replace(head.configuration, epoch=epoch + 1))
        expected = [f"slot 0: n1 is in epoch {epoch + 1}"]
        self.assertEqual(list(world.out_of_step()), expected)
        del heads[0]
        self.assertEqual(list(world.out_of_step()), ["slot 0: n1 is in epoch 1"])

    def test_each_event_that_a_process_takes_is_a_step(self) -> None:
        world = StoreWorld(1, ("n0",))
        world.start("n0")
        self.assertEqual(world.steps, 0)
        world.vacate("n0")
        self.assertEqual(world.steps, 1)
        world.freeze("n0")
        world.vacate("n0")
        self.assertEqual(world.steps, 1)
        world.kill("n0")
        world.vacate("n0")
        self.assertEqual(world.steps, 1)

    def test_a_world_has_sixteen_slots_of_three_members_if_nothing_else_is_said(self) -> None:
        world = StoreWorld(1, ("n0",))
        found = (world.slots, world.replicas, world.bits, world.most_steps, world.loss)
        self.assertEqual(found, (16, 3, 32, 20_000_000, 0.0))

    def test_a_disk_counts_its_runs(self) -> None:
        disk = Disk(7)
        self.assertEqual([disk.read().run, disk.read().run, disk.read().store], [1, 2, 7])


A, B = Member("a", 1), Member("b", 2)
PRESENT = Content(b"v", 3, None, ())
GONE = Content(None, 4, None, ())


class HistoryTests(SynchronousTestCase):
    def test_each_outcome_is_told_as_the_client_saw_it(self) -> None:
        put, delete = Put(b"k", b"new", b"r", if_version=2), Put(b"k", None, b"r")
        done = end.Done(b"f", 1, 1, 9, (A,), (B,))
        rows: list[tuple[Get | Put, end.Outcome | None, Outcome, int | None, str | None]] = [
            (put, done, Outcome.DONE, 9, None),
            (put, end.Conflict(PRESENT), Outcome.CONFLICT, 3, "v"),
            (put, end.Conflict(GONE), Outcome.CONFLICT, 0, None),
            (put, None, Outcome.UNCONFIRMED, None, None),
            (put, end.Unconfirmed(1), Outcome.UNCONFIRMED, None, None),
            (put, end.Unavailable(1, (A,), 3), Outcome.UNAVAILABLE, None, None),
            (put, end.Untold(), Outcome.UNAVAILABLE, None, None),
            (delete, done, Outcome.DONE, 9, None),
            (Get(b"k"), end.Found(PRESENT), Outcome.VALUE, 3, "v"),
            (Get(b"k"), end.Found(GONE), Outcome.ABSENT, None, None),
            (Get(b"k"), end.Found(EMPTY), Outcome.ABSENT, None, None),
        ]
        for asked, outcome, expected, version, found in rows:
            operation = recorded("c", asked, 1.0, 2.0, outcome)
            told = (operation.outcome, operation.version, operation.found)
            self.assertEqual(told, (expected, version, found), outcome)
            answered = None if expected is Outcome.UNCONFIRMED else 2.0
            self.assertEqual((operation.call, operation.returned), (1.0, answered))
        self.assertEqual(recorded("c", put, 1.0, 2.0, None).value, "new")
        self.assertEqual(recorded("c", put, 1.0, 2.0, None).if_version, 2)
        actions = [
            recorded("c", asked, 1.0, 2.0, None).action for asked in (put, delete, Get(b"k"))
        ]
        self.assertEqual(actions, [Action.PUT, Action.DELETE, Action.GET])

    def test_what_expires_may_be_gone_when_the_fastest_clock_that_is_right_says_so(self) -> None:
        done = end.Done(b"f", 1, 1, 9, (A,), (B,))
        for expires, expected in ((20.0, 8.0), (11.0, 0.0), (None, None)):
            operation = recorded("c", Put(b"k", b"v", b"r", expires=expires), 10.0, 11.0, done)
            self.assertEqual(operation.expires, expected)

    def test_a_history_that_is_wrong_is_told_with_the_key_and_the_kind(self) -> None:
        def told(*versions: int) -> str:
            reads = [
                recorded(
                    "c", Get(b"k"), float(at), at + 0.5, end.Found(replace(PRESENT, version=v))
                )
                for at, v in enumerate(versions)
            ]
            put = Put(b"k", b"v", b"r")
            writes = [
                recorded("w", put, -9.0 + n, -8.5 + n, end.Done(b"f", 1, 1, n, (A,), (B,)))
                for n in range(1, 5)
            ]
            return _why(check_history([*writes, *reads]))

        self.assertEqual(told(3, 2), "k, stale, version-goes-back")

    def test_who_asks_again_asks_for_the_same_write_since_the_version_told(self) -> None:
        put = Put(b"k", b"v", b"r", 2, 5.0)
        self.assertEqual(again(put, 7), Put(b"k", b"v", b"r", 2, 5.0, 7))


class CommandTests(SynchronousTestCase):
    def run_command(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        clock = itertools.count(10.0, 5.0)
        status = command.main(words, out, err, lambda: next(clock))
        return status, out.getvalue(), err.getvalue()

    def test_a_few_runs_are_told_one_by_one_and_summed_up(self) -> None:
        words = ("--seeds", "2", "--first", "3", "--nodes", "4", "--keys", "2", "--clients", "2")
        words += ("--operations", "20", "--calm", "--slots", "2")
        status, out, err = self.run_command(*words)
        lines = out.splitlines()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual([line[:8] for line in lines[:2]], ["seed 3: ", "seed 4: "])
        self.assertRegex(lines[0], r"^seed 3: \d+ .*; right again 0\.0 s after faults$")
        self.assertRegex(lines[2], r"^4\d operations: \d+ ")
        self.assertEqual(lines[3], "0 faults: none")
        expected = "2 runs, 0 of them wrong; right again 0.0 s after the faults at the latest; 5 s"
        self.assertRegex(lines[4], r"^\d+ records without a value collected$")
        self.assertRegex(lines[5], r"^\d+ revisions told to clients that watch$")
        self.assertEqual(lines[6:], [expected])

    def test_many_runs_are_summed_up_only(self) -> None:
        words = ("--seeds", "11", "--nodes", "3", "--operations", "4", "--calm", "--slots", "1")
        _status, out, _err = self.run_command(*words, "--clients", "1")
        self.assertNotIn("seed ", out)

    def test_the_history_of_the_last_run_is_written_where_it_is_wanted(self) -> None:
        path = Path(self.mktemp())
        words = ("--seeds", "1", "--nodes", "3", "--operations", "10", "--calm", "--slots", "1")
        self.run_command(*words, "--history", str(path))
        lines = path.read_bytes().splitlines()
        self.assertGreaterEqual(len(lines), 10)
        self.assertIn("client", json.loads(lines[0]))

    def test_faults_are_summed_up_and_the_slowest_recovery_is_told(self) -> None:
        plan = Plan(nodes=4, keys=2, clients=2, operations=30, fault_s=0.3, slots=2)
        found = itertools.pairwise(run(seed, plan) for seed in range(1, 60))
        reports = list(next(pair for pair in found if pair[0].recovered != pair[1].recovered))
        first = str(reports[0].seed)
        words = ("--seeds", "2", "--first", first, "--nodes", "4", "--keys", "2", "--clients", "2")
        words += ("--operations", "30", "--pause", "0.3", "--slots", "2")
        _status, out, _err = self.run_command(*words)
        lines = out.splitlines()
        self.assertEqual(lines[:2], [command.told(report) for report in reports])
        self.assertNotEqual(reports[0].recovered, reports[1].recovered)
        slowest = max(report.recovered for report in reports)
        self.assertIn(f"right again {slowest:.1f} s after the faults at the latest", lines[-1])
        faults = reports[0].faults + reports[1].faults
        self.assertEqual(lines[3].split(": ")[0], f"{faults.total()} faults")
        for kind, count in faults.items():
            self.assertIn(f"{count} {kind}", lines[3])

    def test_several_processes_come_to_what_one_comes_to(self) -> None:
        words = ("--seeds", "2", "--nodes", "3", "--operations", "4", "--calm", "--slots", "1")
        self.assertEqual(self.run_command(*words, "--jobs", "2"), self.run_command(*words))

    def test_ten_runs_are_still_told_one_by_one(self) -> None:
        words = ("--seeds", "10", "--nodes", "1", "--founders", "1", "--operations", "1")
        _status, out, _err = self.run_command(*words, "--calm", "--slots", "1", "--clients", "1")
        self.assertEqual(len(out.splitlines()), 15)

    def test_what_is_said_is_the_plan(self) -> None:
        words = (
            "--nodes", "9", "--founders", "9", "--slots", "4096", "--keys", "1", "--clients", "1",
            "--operations", "1", "--pause", "0.1", "--calm", "--without", "seal, ,store_id",
            "--old-disks",
        )  # fmt: skip
        expected = Plan(
            nodes=9, founders=9, slots=4096, keys=1, clients=1, operations=1, fault_s=0.1,
            quiet=True, old_disks=True, safeguards=StoreSafeguards(seal=False, store_id=False),
        )  # fmt: skip
        options = command._parser().parse_args(words)
        self.assertEqual(command.planned(options), expected)
        least = command._parser().parse_args(["--slots", "1", "--founders", "1", "--seeds", "1"])
        self.assertEqual(command.planned(least), Plan(slots=1, founders=1))

    def test_what_makes_no_sense_is_refused_in_one_line(self) -> None:
        rows = [
            (("--seeds", "0"), "--seeds must be at least 1"),
            (("--keys", "0"), "--keys must be at least 1"),
            (("--clients", "0"), "--clients must be at least 1"),
            (("--watchers", "-1"), "--watchers must be at least 0"),
            (("--operations", "0"), "--operations must be at least 1"),
            (("--jobs", "0"), "--jobs must be at least 1"),
            (("--founders", "0"), "--founders must be at least 1"),
            (("--founders", "8"), "--founders must be at most --nodes, and at most 9"),
            (("--founders", "10", "--nodes", "12"), "at most --nodes, and at most 9"),
            (("--slots", "3"), "--slots must be a power of two from 1 to 4096"),
            (("--slots", "8192"), "--slots must be a power of two from 1 to 4096"),
            (("--pause", "0"), "--pause must be more than 0"),
            (("--liars", "9"), "--liars must be from 0 to 8"),
            (("--liars", "-1"), "--liars must be from 0 to 8"),
            (("--without", "care"), "no safeguard is called 'care'; there are seal, "),
        ]
        for words, expected in rows:
            status, out, err = self.run_command(*words)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(expected, err)
            self.assertEqual(err.count("\n"), 1)

    def test_what_is_not_said_is_the_usual_plan(self) -> None:
        plan = command.planned(command._parser().parse_args([]))
        self.assertEqual(plan, Plan())
        self.assertEqual(
            (plan.nodes, plan.founders, plan.slots, plan.keys, plan.clients, plan.operations),
            (7, 3, 16, 20, 8, 2000),
        )
        options = command._parser().parse_args([])
        self.assertEqual((options.first, options.seeds, options.jobs), (1, 10, 1))

    def test_a_run_that_went_wrong_is_told_and_is_the_exit_status(self) -> None:
        report = Report(5, ["the history is wrong: k"], recovered=1.25)
        report.outcomes.update(done=2, absent=1)
        line = command.told(report)
        self.assertEqual(
            line,
            "seed 5: WRONG: the history is wrong: k; 1 absent, 2 done; right again 1.2 s after"
            " faults",
        )
        words = ("--without", "installed_first", "--seeds", "5", "--pause", "0.3", "--nodes", "5")
        words += ("--slots", "2", "--keys", "2", "--operations", "600", "--first", "6")
        status, out, _err = self.run_command(*words)
        self.assertEqual((status, "WRONG" in out), (1, True))


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(all_figures(), indent=1) + "\n", "utf-8")
