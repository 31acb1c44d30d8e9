"""What many nodes say of the store, put together and judged."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.findings import Ref
from chordnet.survey.store.judging import store_notes, store_problems
from chordnet.survey.store.merged import Slot, Store, together
from chordnet.survey.verdict import Names
from chordnet.wire.stores import SlotState, StoreState
from tests.unit.testbed_fakes import disk, network, slot_state, store_state

NETWORK = network(5)
OTHER = "1e" * 16


class StoreCase(SynchronousTestCase):
    """Five nodes; slot 0 is held by the first three."""

    def states(self, *slots: SlotState, **changes: Any) -> dict[Ref, StoreState]:
        """Return what the nodes say when all of them know the same."""
        return {
            number: store_state(NETWORK, number, range(1, 6), slots=list(slots), **changes)
            for number in range(1, 6)
        }

    def slot(self, **installed: int | None) -> dict[Ref, StoreState]:
        """Return what they say of slot 0 in epoch 4, where some have installed another."""
        found: dict[Ref, StoreState] = {}
        for number in range(1, 6):
            own = installed.get(f"node{number}", 4 if number < 4 else None)
            known = slot_state(0, 1, 2, 3, epoch=4, installed=own)
            found[number] = store_state(NETWORK, number, range(1, 6), slots=[known])
        return found

    def together(self, states: dict[Ref, StoreState], **silent: str) -> Store:
        return together(Names(NETWORK), states, {int(k[4:]): why for k, why in silent.items()})

    def only(self, states: dict[Ref, StoreState]) -> Slot:
        (slot,) = self.together(states).slots
        return slot


class SlotTests(StoreCase):
    def test_a_slot_whose_members_have_all_installed_its_newest_epoch_is_in_step(self) -> None:
        seen = self.together(self.slot())
        (slot,) = seen.slots
        self.assertEqual((slot.epoch, slot.members), (4, (1, 2, 3)))
        self.assertTrue(slot.in_step and slot.has_majority and seen.in_step)
        self.assertEqual((seen.lost, seen.moving, seen.unfinished()), ([], [], []))
        self.assertEqual((store_problems(seen), store_notes(seen)), ([], []))

    def test_the_newest_configuration_counts_that_any_node_knows_of(self) -> None:
        states = self.states(slot_state(0, 1, 2, 3))
        newer = slot_state(0, 1, 2, 4, epoch=2, installed=2)
        states[4] = store_state(NETWORK, 4, range(1, 6), slots=[newer])
        slot = self.only(states)
        self.assertEqual((slot.epoch, slot.members, slot.behind), (2, (1, 2, 4), (1, 2)))
        later = slot_state(0, 1, 2, 5, generation=2, epoch=1, installed=1)
        states[5] = store_state(NETWORK, 5, range(1, 6), slots=[later])
        slot = self.only(states)
        self.assertEqual((slot.generation, slot.epoch, slot.members), (2, 1, (1, 2, 5)))
        self.assertEqual(slot.behind, (1, 2))

    def test_a_member_that_has_not_installed_the_epoch_is_waited_for(self) -> None:
        seen = self.together(self.slot(node2=3))
        self.assertFalse(seen.in_step)
        self.assertEqual(seen.unfinished(), ["slot 0: Node 2 has not reached epoch 4 yet"])
        (note,) = store_notes(seen)
        self.assertEqual((note.kind, note.nodes), ("slots-not-in-step", (2,)))
        self.assertEqual(note.details(), {"slots": [0]})
        seen = self.together(self.slot(node2=3, node3=None))
        self.assertIn("Node 2 and Node 3 have not reached epoch 4 yet", seen.unfinished()[0])

    def test_a_sealed_member_is_behind(self) -> None:
        states = self.slot()
        sealed = slot_state(0, 1, 2, 3, epoch=4, installed=4, sealed=True)
        states[1] = store_state(NETWORK, 1, range(1, 6), slots=[sealed])
        self.assertEqual(self.only(states).behind, (1,))

    def test_a_member_that_says_nothing_of_its_slot_is_behind(self) -> None:
        states = self.slot()
        states[2] = store_state(NETWORK, 2, range(1, 6), slots=[])
        self.assertEqual(self.only(states).behind, (2,))

    def test_a_node_that_says_other_numbers_than_most_is_not_believed(self) -> None:
        states = self.slot()
        states[1] = store_state(
            NETWORK, 1, range(1, 6), slots=states[1].slots, slot_count=0, replicas=10**6
        )
        seen = self.together(states)
        self.assertEqual((seen.slot_count, seen.replicas, seen.in_step), (4, 3, True))

    def test_a_member_that_does_not_answer_is_missing_and_is_not_waited_for(self) -> None:
        states = self.slot()
        del states[3]
        seen = self.together(states, node3="nothing heard for 2 s")
        (slot,) = seen.slots
        self.assertEqual((slot.missing, slot.has_majority, slot.in_step), ((3,), True, False))
        self.assertEqual(slot.words(), "slot 0: Node 3 is missing")
        self.assertEqual((seen.unfinished(), seen.in_step), ([], False))
        self.assertEqual(store_problems(seen), [])

    def test_a_slot_of_which_one_of_three_members_answers_has_no_majority(self) -> None:
        states = self.slot(node1=3)
        del states[2], states[3]
        seen = self.together(states)
        text = "slot 0: 1 of 3 members answers; Node 2 and Node 3 are missing"
        self.assertEqual([slot.words() for slot in seen.lost], [text])
        self.assertEqual((seen.moving, seen.unfinished()), ([], []))
        (problem,) = store_problems(seen)
        self.assertEqual(
            (problem.kind, problem.nodes, problem.details(), problem.words()),
            ("slots-without-majority", (2, 3), {"slots": [0]}, text),
        )

    def test_one_of_two_members_is_no_majority(self) -> None:
        states = self.states(slot_state(0, 1, 2))
        del states[2]
        (slot,) = self.together(states).lost
        self.assertEqual(slot.words(), "slot 0: 1 of 2 members answers; Node 2 is missing")

    def test_a_node_with_another_disk_is_not_the_member(self) -> None:
        states = self.slot()
        states[2] = store_state(NETWORK, 2, range(1, 6), slots=states[2].slots, store=disk(99))
        self.assertEqual(self.only(states).missing, (2,))

    def test_a_member_whose_store_has_stopped_is_missing(self) -> None:
        states = self.slot()
        states[2] = store_state(NETWORK, 2, range(1, 6), slots=states[2].slots, failed="disk full")
        seen = self.together(states)
        self.assertEqual((seen.slots[0].missing, seen.stopped), ((2,), {2: "disk full"}))
        self.assertFalse(seen.in_step)
        (problem,) = store_problems(seen)
        self.assertEqual(problem.words(), "the store of Node 2 has stopped: disk full")
        self.assertEqual(problem.details(), {"why": "disk full"})

    def test_a_member_that_gives_up_its_seat_keeps_its_slot_from_being_in_step(self) -> None:
        states = self.slot()
        states[2] = store_state(NETWORK, 2, range(1, 6), slots=states[2].slots, vacating=True)
        slot = self.only(states)
        self.assertEqual((slot.vacating, slot.in_step), ((2,), False))
        self.assertEqual(slot.words(), "slot 0: Node 2 is giving it up")

    def test_a_slot_needs_as_many_members_as_there_are_nodes_for_it(self) -> None:
        states = self.states(slot_state(0, 1, 2))
        self.assertEqual(self.only(states).words(), "slot 0: it has 2 of 3 members")
        for number in (3, 4, 5):
            states[number] = store_state(NETWORK, number, range(1, 6), slots=[], seat=False)
        self.assertTrue(self.only(states).in_step)

    def test_keys_are_counted_once_at_members_that_are_up_to_date(self) -> None:
        states: dict[Ref, StoreState] = {}
        for number in (1, 2, 3):
            old = number == 3
            slots = [
                slot_state(0, 1, 2, 3, epoch=2, installed=1 if old else 2, keys=9 if old else 5),
                slot_state(1, 1, 2, 3, keys=2, bytes=70),
            ]
            states[number] = store_state(NETWORK, number, range(1, 4), slots=slots)
        seen = self.together(states)
        self.assertEqual((seen.keys, seen.bytes), (7, 70))

    def test_a_member_from_outside_the_network_goes_by_its_name(self) -> None:
        slot = slot_state(0, 1, 77)
        states: dict[Ref, StoreState] = {
            1: store_state(NETWORK, 1, (1,), slots=[slot]),
            "Node 77": store_state(NETWORK, 77, (1,), slots=[slot]),
        }
        self.assertEqual(self.only(states).members, (1, "Node 77"))
        self.assertTrue(self.only(states).in_step)


class FormationTests(StoreCase):
    def test_a_store_that_has_not_begun_is_waited_for_while_its_founders_answer(self) -> None:
        states = self.states(formation="", reason="the store has not begun: …")
        seen = self.together(states)
        self.assertEqual(seen.unfinished(), ["the store has not begun"])
        (problem,) = store_problems(seen)
        self.assertEqual(
            (problem.kind, problem.nodes, problem.details()), ("store-not-begun", (1, 2, 3), {})
        )
        self.assertEqual(
            problem.words(),
            "the store has not begun: its founders are Node 1, Node 2, Node 3",
        )
        del states[2]
        self.assertEqual(self.together(states).unfinished(), [])

    def test_nodes_that_keep_no_store_are_not_waited_for(self) -> None:
        seen = self.together(self.states(formation="", founders=[], store="", seat=False))
        self.assertEqual((seen.unfinished(), store_problems(seen)), ([], []))
        self.assertFalse(seen.in_step)

    def test_a_founder_that_names_none_begins_nothing(self) -> None:
        states = self.states(formation="")
        states[1] = store_state(NETWORK, 1, range(1, 6), formation="", founders=[], slots=[])
        self.assertEqual(self.together(states).unfinished(), [])

    def test_a_node_that_has_not_adopted_the_store_yet_is_waited_for(self) -> None:
        states = self.slot()
        states[5] = store_state(NETWORK, 5, range(1, 6), formation="", slots=[], reason="none yet")
        seen = self.together(states)
        self.assertEqual(seen.unfinished(), ["Node 5 does not belong to the store yet"])
        self.assertEqual((seen.without, seen.in_step), ({5: "none yet"}, False))

    def test_a_node_without_a_disk_is_not_waited_for(self) -> None:
        states = self.slot()
        states[5] = store_state(NETWORK, 5, range(1, 6), formation="", slots=[], store="")
        self.assertEqual(self.together(states).unfinished(), [])

    def test_two_stores_are_a_problem_and_the_larger_one_is_shown(self) -> None:
        states = self.slot()
        for number in (4, 5):
            states[number] = store_state(NETWORK, number, range(1, 6), formation=OTHER, slots=[])
        seen = self.together(states)
        self.assertEqual((seen.formation, seen.in_step), ("0f" * 16, False))
        (problem,) = store_problems(seen)
        self.assertEqual((problem.kind, problem.nodes), ("several-stores", (1, 2, 3, 4, 5)))
        self.assertEqual(
            problem.words(),
            "there are 2 stores, which do not mix: "
            "0f0f0f0f of Node 1, Node 2, Node 3 and 1e1e1e1e of Node 4, Node 5",
        )
        self.assertEqual(problem.details(), {"formations": {"0f" * 16: [1, 2, 3], OTHER: [4, 5]}})

    def test_many_slots_with_the_same_trouble_are_one_finding(self) -> None:
        states = self.states(slot_state(0, 1, 2, 3), slot_state(1, 1, 2, 3))
        del states[1], states[2]
        (problem,) = store_problems(self.together(states))
        self.assertEqual(
            problem.words(),
            "2 slots of the store have no majority, the first: "
            "slot 0: 1 of 3 members answers; Node 1 and Node 2 are missing",
        )

    def test_nothing_is_known_where_no_node_answers(self) -> None:
        seen = self.together({}, node1="refused")
        self.assertEqual((seen.formation, seen.slots, seen.unfinished()), ("", (), []))
        self.assertEqual((seen.in_step, seen.silent), (False, {1: "refused"}))
