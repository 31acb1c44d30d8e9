"""Commands wait for the store, and a node hands over its slots before it is removed."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConnectFailed
from chordnet.survey.errors import TestbedError
from chordnet.testbed.actions import chaos
from chordnet.testbed.actions.changes import add_node, remove_node
from chordnet.testbed.actions.convergence import Counted, Progress
from chordnet.testbed.actions.lifecycle import Wish, start_network
from chordnet.wire.stores import StoreState
from tests.unit.testbed_fakes import World, slot_state, store_state

NO_STORE = {"formation": "", "founders": [], "store": "", "seat": False, "slots": []}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.nodes, self.testbed = self.world.nodes, self.world.testbed

    def run_to_end(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        done = Deferred.fromCoroutine(work)
        for _ in range(3000):
            if done.called:
                break
            self.world.clock.advance(0.1)
        return done

    def result(self, work: Coroutine[Any, Any, Any]) -> Any:
        result = self.successResultOf(self.run_to_end(work))
        self.assertEqual((self.world.clock.getDelayedCalls(), self.nodes.open), ([], 0))
        return result

    def refused(self, work: Coroutine[Any, Any, Any]) -> str:
        failure = self.failureResultOf(self.run_to_end(work), TestbedError)
        self.assertEqual((self.world.clock.getDelayedCalls(), self.nodes.open), ([], 0))
        return str(failure.value)

    def state(self, number: int, **changes: Any) -> StoreState:
        return store_state(self.world.described, number, range(1, 6), **changes)

    def start(self, timeout: float = 30.0) -> Any:
        wish = Wish(nodes=5, base_port=9001, engine="local")
        return self.result(start_network(self.testbed, wish, timeout))


class WaitTests(Case):
    def test_a_start_waits_until_a_slot_has_caught_up_and_says_nothing(self) -> None:
        behind = self.state(1, slots=[slot_state(0, 1, 2, 3, epoch=2, installed=1)])
        after = self.state(1, slots=[slot_state(0, 1, 2, 3, epoch=2, installed=2)])
        for number in (2, 3, 4, 5):
            self.nodes.stores[number] = self.state(number, slots=after.slots)
        self.nodes.stores[1] = [behind] * 20 + [after]
        done = self.start()
        self.assertEqual((done.members, self.world.said), (5, []))
        self.assertGreater(done.seconds, 1.9)

    def test_a_start_waits_until_the_store_has_begun(self) -> None:
        for number in range(1, 6):
            none = self.state(number, formation="", slots=[])
            self.nodes.stores[number] = [none] * 10 + [self.state(number)]
        done = self.start()
        self.assertGreater(done.seconds, 0.9)
        self.assertEqual(self.world.said, [])

    def test_a_store_that_is_not_in_step_in_time_is_told_and_the_start_succeeds(self) -> None:
        slots = [slot_state(n, 1, 2, 3, epoch=2, installed=1) for n in (0, 1)]
        for number in range(1, 6):
            self.nodes.stores[number] = self.state(number, slots=slots)
        done = self.start(timeout=5.0)
        self.assertEqual(done.members, 5)
        (line,) = self.world.said
        self.assertEqual(
            line,
            "the store is not in step yet: slot 0: Node 1, Node 2 and Node 3 have not reached "
            "epoch 2 yet and 1 more; see: p2pnet store",
        )

    def test_slots_without_a_majority_are_told_and_not_waited_for(self) -> None:
        lost = [slot_state(n, 1, 8, 9) for n in (0, 1)]
        for number in range(1, 6):
            self.nodes.stores[number] = self.state(number, slots=lost)
        self.assertLess(self.start().seconds, 1.0)
        (line,) = self.world.said
        self.assertEqual(
            line,
            "2 slots have no majority (slot 0: 1 of 3 members answers; Node 8 and Node 9 are "
            "missing); see: p2pnet store",
        )

    def test_one_slot_without_a_majority_is_told_as_one(self) -> None:
        for number in range(1, 6):
            slots = [slot_state(0, 1, 8, 9)]
            self.nodes.stores[number] = self.state(number, slots=slots)
        self.start()
        self.assertIn("1 slot has no majority (slot 0: ", self.world.said[0])

    def test_a_network_whose_nodes_keep_no_store_is_told_and_not_waited_for(self) -> None:
        for number in range(1, 6):
            self.nodes.stores[number] = self.state(number, reason="it keeps no store", **NO_STORE)
        self.assertLess(self.start().seconds, 1.0)
        self.assertEqual(self.world.said, ["no store of keys: it keeps no store"])

    def test_a_network_whose_nodes_do_not_know_the_question_is_not_waited_for(self) -> None:
        for number in range(1, 6):
            self.nodes.stores[number] = ConnectFailed("it has ended the connection")
        self.assertLess(self.start().seconds, 1.0)
        self.assertEqual(self.world.said, ["no store of keys: it has ended the connection"])

    def test_an_addition_waits_until_the_node_belongs_to_the_store(self) -> None:
        self.world.up()
        self.result(remove_node(self.testbed, 3, kill=True, timeout=60))
        none = self.state(3, formation="", slots=[])
        self.nodes.stores[3] = [none] * 10 + [self.state(3)]
        _, done = self.result(add_node(self.testbed, 3, 60))
        self.assertGreater(done.seconds, 0.9)

    def test_chaos_waits_until_the_slots_have_caught_up(self) -> None:
        self.world.up()
        late = self.state(1, slots=[slot_state(0, 1, 2, epoch=2, installed=1)])
        caught_up = self.state(1, slots=[slot_state(0, 1, 2, epoch=2, installed=2)])
        for number in (2, 3, 4):
            self.nodes.stores[number] = self.state(number, slots=caught_up.slots)
        self.nodes.stores[1] = [late] * 10 + [caught_up]
        done = self.result(chaos.act(self.testbed, chaos.kill([5]), 30))
        self.assertTrue(done.right)
        self.assertGreater(done.seconds, 0.9)


class HandOverTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.world.up()
        self.shown: list[Progress | Counted] = []
        self.testbed.watch = self.shown.append

    def remove(self, **words: Any) -> Coroutine[Any, Any, Any]:
        return remove_node(self.testbed, 3, **{"kill": False, "timeout": 10.0} | words)

    def seats(self, *counts: int, **changes: Any) -> None:
        self.nodes.stores[3] = [self.state(3, seats=count, **changes) for count in counts]

    def test_a_node_is_told_to_vacate_and_stopped_when_it_holds_no_slot(self) -> None:
        self.seats(4, 4, 2, 0)
        done = self.result(self.remove())
        self.assertEqual((self.nodes.vacated, done.slots), ([3], 4))
        self.assertEqual(self.world.engine.calls, ["stop [3]"])
        leaving = [each for each in self.shown if isinstance(each, Counted)]
        self.assertEqual([each.done[0] for each in leaving[:3]], [0, 2, 4])
        self.assertEqual(leaving[1].words(), "Node 3 has handed over 2 of 4 slots")
        self.assertEqual(leaving[1].done, (2, 4))

    def test_a_slot_that_comes_back_in_between_is_waited_for(self) -> None:
        self.seats(4, 0, 1, 1, 1, 0)
        self.result(self.remove())
        self.assertEqual(self.nodes.stores[3][-1].seats, 0)
        self.assertEqual(len(self.nodes.stores[3]), 1)

    def test_a_node_whose_slots_nobody_takes_stays_and_the_line_says_what_to_do(self) -> None:
        self.seats(4)
        text = self.refused(self.remove())
        self.assertEqual(
            text,
            "Node 3 still holds 4 slots and was not removed: no other node has taken them in time; "
            "add a node or see: p2pnet store; to remove it all the same: "
            "p2pnet remove-node 3 --no-wait",
        )
        self.assertEqual((self.world.engine.calls, self.testbed.description().removed), ([], set()))

    def lose(self, count: int) -> None:
        """Let so many slots be held by Node 3 and two nodes that are gone."""
        lost = [slot_state(n, 3, 8, 9) for n in range(count)]
        for number in (1, 2, 4, 5):
            self.nodes.stores[number] = self.state(number, slots=lost)

    def test_slots_without_a_majority_stay_with_the_node_and_hold_nothing_up(self) -> None:
        self.lose(2)
        lost = [slot_state(n, 3, 8, 9) for n in range(2)]
        self.seats(4, 4, 2, slots=lost)
        done = self.result(self.remove())
        self.assertEqual((done.slots, self.world.engine.calls), (2, ["stop [3]"]))
        line, left = self.world.said
        self.assertIn("2 slots have no majority (slot 0: 0 of 3 members answer", left)
        self.assertEqual(
            line,
            "2 slots have no majority and cannot be handed over (slot 0: 1 of 3 members answers;"
            " Node 8 and Node 9 are missing); what Node 3 has of that stays on its disk",
        )

    def test_a_slot_that_others_could_take_is_waited_for_beside_one_that_is_lost(self) -> None:
        self.lose(1)
        self.seats(2, slots=[slot_state(0, 3, 8, 9)])
        self.assertIn("still holds 2 slots", self.refused(self.remove()))

    def test_one_slot_is_told_as_one(self) -> None:
        self.lose(1)
        self.seats(1, slots=[slot_state(0, 3, 8, 9)])
        self.result(self.remove())
        self.assertTrue(self.world.said[0].startswith("1 slot has no majority and cannot"))
        self.lose(0)
        self.seats(1, slots=[])
        self.world.up()
        self.assertIn("Node 3 still holds 1 slot and was", self.refused(self.remove()))

    def test_without_a_wait_a_node_is_stopped_with_its_slots(self) -> None:
        self.seats(4)
        done = self.result(self.remove(wait=False))
        self.assertEqual((done.slots, self.nodes.vacated), (0, []))
        self.assertEqual(self.world.engine.calls, ["stop [3]"])

    def test_a_node_that_is_killed_hands_nothing_over(self) -> None:
        self.seats(4)
        self.result(self.remove(kill=True))
        self.assertEqual((self.nodes.vacated, self.world.engine.calls), ([], ["kill [3]"]))

    def test_a_node_that_keeps_no_store_is_removed_as_it_is(self) -> None:
        self.nodes.stores[3] = self.state(3, **NO_STORE)
        self.result(self.remove())
        self.assertEqual((self.nodes.vacated, self.world.engine.calls), ([], ["stop [3]"]))

    def test_a_node_whose_store_has_stopped_or_that_says_nothing_of_it_is_removed(self) -> None:
        for said in (self.state(3, seats=4, failed="disk full"), ConnectFailed("gone")):
            self.world.up()
            self.nodes.stores[3] = said
            self.result(self.remove())
        self.assertEqual(self.nodes.vacated, [])
        self.assertEqual(self.world.engine.calls, ["stop [3]"] * 2)

    def test_a_node_that_cannot_be_told_to_vacate_stays(self) -> None:
        self.seats(4)
        self.nodes.cannot_vacate = "the store of Node 3 has stopped"
        self.assertIn("it cannot be told to: the store of Node 3", self.refused(self.remove()))
        self.assertEqual(self.world.engine.calls, [])

    def test_the_last_node_keeps_its_slots(self) -> None:
        self.world.engine.alive = {3}
        self.world.engine.ring()
        self.seats(4)
        self.result(self.remove())
        self.assertEqual((self.nodes.vacated, self.world.engine.calls), ([], ["stop [3]"]))
