"""The judge of a play finds what is wrong at its end; each kind of wrong is made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base.outcomes import Failed
from chordnet.judge.problems import WrongHead
from chordnet.sim.scenarios.play import Play
from chordnet.sim.scenarios.scenario import Scenario

Change = Callable[[Any], Any]


class Told(dict[int, Any]):
    """What a host was told, changed."""

    def __init__(self, kind: type[Any], change: Change) -> None:
        self._kind, self._change = kind, change

    def get(self, op: int, default: Any = None) -> Any:
        found = super().get(op, default)
        return self._change(found) if isinstance(found, self._kind) else found


class Forgetful(list[fx.Record]):
    """The records of a host that records nothing more."""

    def append(self, _record: fx.Record) -> None:
        pass


class PlayCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.make()

    def make(self, **changes: Any) -> None:
        usual: dict[str, Any] = {"start": "rings", "rings": (7,), "lookups": 8}
        self.play = Play(Scenario(name="x", nodes=7, **usual | changes))
        self.play._begin()
        self.network = self.play.network
        self.network.run(1.0)
        self.hosts = list(self.network.hosts.values())

    def tell(self, kind: type[Any], change: Change) -> None:
        for host in self.hosts:
            host.done = Told(kind, change)

    def took(self, judge: Callable[[], list[str]]) -> tuple[list[str], float]:
        began = self.network.now
        return judge(), self.network.now - began


class LookupTests(PlayCase):
    def test_right_owners_are_no_failures_and_take_no_time(self) -> None:
        found, seconds = self.took(self.play._check_lookups)
        self.assertEqual(found, [])
        self.assertLess(seconds, 1.0)

    def test_a_wrong_owner_is_a_failure(self) -> None:
        others = {host.ref.name: host.ref for host in self.hosts}

        def other(done: fx.LookupDone) -> fx.LookupDone:
            assert done.owner is not None
            wrong = next(ref for name, ref in others.items() if name != done.owner.name)
            return msgspec.structs.replace(done, owner=wrong)

        self.tell(fx.LookupDone, other)
        found = self.play._check_lookups()
        self.assertEqual(len(found), 5, "and no more is put into words than anybody reads")
        for line in found:
            self.assertRegex(line, r"^a lookup by Node \d found Node \d, not the owner$")

    def fail_some(self, count: int) -> None:
        left = [count]

        def fails(done: fx.LookupDone) -> fx.LookupDone:
            left[0] -= 1
            if left[0] < 0:
                return done
            return msgspec.structs.replace(done, owner=None, reason=Failed.NO_WAY)

        self.tell(fx.LookupDone, fails)

    def test_a_failed_lookup_is_a_failure(self) -> None:
        self.fail_some(1)
        (line,) = self.play._check_lookups()
        self.assertRegex(line, r"^a lookup by Node \d failed: no way to it was found$")

    def test_a_lookup_without_an_answer_is_a_failure_after_25_seconds(self) -> None:
        self.tell(fx.LookupDone, lambda _: None)
        for host in self.hosts:
            self.network.freeze(host.ref.name)
        found, seconds = self.took(self.play._check_lookups)
        self.assertEqual(len(found), 5)
        self.assertTrue(all(line.endswith("failed: no answer") for line in found), found)
        self.assertLess(abs(seconds - 25.0), 0.1)

    def test_where_messages_are_lost_as_many_lookups_may_fail_and_no_more(self) -> None:
        for count, failures in ((2, 0), (3, 3)):
            self.make()
            self.fail_some(count)
            self.network.weather.loss = 0.25
            asked = self.play._check_lookups()
            real = sum("no way to it" in line for line in asked)
            self.assertEqual(real, failures, asked)


class BroadcastTests(PlayCase):
    def test_a_broadcast_that_all_have_recorded_is_no_failure_and_takes_no_time(self) -> None:
        found, seconds = self.took(self.play._check_broadcast)
        self.assertEqual(found, [])
        self.assertLess(seconds, 1.0)

    def test_a_scenario_may_do_without_a_broadcast(self) -> None:
        self.make(publish=False)
        self.play._check_broadcast()
        self.assertTrue(all(host.records == [] for host in self.hosts))

    def test_a_broadcast_without_a_receipt_was_not_confirmed(self) -> None:
        for change in (lambda _: None, lambda done: msgspec.structs.replace(done, id=None)):
            self.make()
            self.tell(fx.BroadcastDone, change)
            (line,) = self.play._check_broadcast()
            self.assertRegex(line, r"^the broadcast of Node \d was not confirmed$")

    def test_a_receipt_is_waited_for_for_45_seconds(self) -> None:
        for host in self.hosts:
            self.network.freeze(host.ref.name)
        (line,), seconds = self.took(self.play._check_broadcast)
        self.assertIn("was not confirmed", line)
        self.assertLess(abs(seconds - 45.0), 0.1)

    def test_a_receipt_that_counts_wrong_is_a_failure(self) -> None:
        for recorded in (6, 8):
            self.make()
            self.tell(
                fx.BroadcastDone, lambda done, n=recorded: msgspec.structs.replace(done, recorded=n)
            )
            self.assertEqual(
                self.play._check_broadcast(), [f"the receipt says {recorded} nodes, there are 7"]
            )

    def forget(self, *numbers: int) -> list[str]:
        names = [f"Node {number}" for number in numbers]
        for name in names:
            self.network.hosts[name].records = Forgetful()
        return names

    def test_a_complete_receipt_of_what_somebody_lacks_is_a_failure_at_once(self) -> None:
        self.forget(3)
        (line,), seconds = self.took(self.play._check_broadcast)
        self.assertRegex(line, r"^the broadcast of Node \d missed Node 3$")
        self.assertLess(seconds, 1.0)

    def test_after_a_partial_receipt_there_are_60_seconds_to_catch_up(self) -> None:
        self.forget(1, 2, 3, 4, 5, 6)
        self.tell(fx.BroadcastDone, lambda done: msgspec.structs.replace(done, partial=True))
        (line,), seconds = self.took(self.play._check_broadcast)
        self.assertTrue(line.endswith("missed Node 1, Node 2, Node 3, Node 4, Node 5"), line)
        self.assertLess(abs(seconds - 60.0), 1.0)

    def test_a_partial_receipt_of_a_message_that_all_have_is_no_failure(self) -> None:
        self.tell(
            fx.BroadcastDone, lambda done: msgspec.structs.replace(done, partial=True, recorded=3)
        )
        found, seconds = self.took(self.play._check_broadcast)
        self.assertEqual(found, [])
        self.assertLess(seconds, 2.0)

    def test_while_a_live_node_may_be_taken_for_dead_no_receipt_counts_wrong(self) -> None:
        self.play.watch._distrust_until = self.network.now + 1000.0
        self.tell(fx.BroadcastDone, lambda done: msgspec.structs.replace(done, recorded=3))
        self.assertEqual(self.play._check_broadcast(), [])


class RingTests(PlayCase):
    def test_a_right_ring_has_settled_after_it_has_stayed_right_for_3_seconds(self) -> None:
        settled, seconds = self.play._settle(self.network.now), self.network.now - 1.0
        self.assertTrue(settled)
        self.assertLess(abs(seconds - 3.0), 0.2)
        self.assertLess(self.play._settled, 0.2)

    def test_a_ring_that_turns_wrong_within_3_seconds_has_not_settled(self) -> None:
        host = self.network.hosts["Node 3"]
        began = self.network.now

        def turn() -> None:
            host.node.ring.successors = host.node.ring.successors[:1]

        self.network.at(began + 2.9, turn)
        self.assertTrue(self.play._settle(began))
        self.assertGreater(self.play._settled, 2.9)

    def test_what_is_wrong_with_a_ring_is_named_up_to_five_times(self) -> None:
        for host in self.hosts:
            host.node.ring.successors = []
        (line,) = self.play._unsettled()
        self.assertIn(f"no right ring {self.play.scenario.within_s} s after the last fault: ", line)
        self.assertEqual(line.count(";"), 4)
        count = len(self.play.problems())
        self.assertGreater(count, 5)
        self.assertTrue(line.endswith(f" (and {count - 5} more)"), line)

    def test_the_time_to_settle_is_counted_from_the_last_fault(self) -> None:
        self.make(within_s=5.0)
        for host in self.hosts:
            self.network.freeze(host.ref.name)
        self.hosts[0].node.ring.successors = []
        began = self.network.now
        self.assertFalse(self.play._settle(began))
        self.assertLess(abs(self.network.now - began - 5.0), 0.2)

    def test_of_many_members_a_wrong_head_is_found_first(self) -> None:
        self.play = Play(Scenario(name="x", nodes=65, start="rings", rings=(65,)))
        self.play._begin()
        self.assertEqual(self.play.problems(), [])
        host = self.play.network.hosts["Node 3"]
        after = host.node.ring.successors[0]
        for wrong in ([], host.node.ring.successors[1:]):
            host.node.ring.successors = wrong
            (problem,) = self.play.problems()
            head = wrong[0].id if wrong else None
            self.assertEqual(problem, WrongHead(host.ref.id, head, after.id))
