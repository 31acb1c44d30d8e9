"""Questions about the members of slots: what they have of a key, and whether a node can stop."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.events import Lost
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.outcomes import Inspected, MemberSeen, SlotSeen, Standing
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Inspect, MayStop, Put
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.talk import Leaving, Lists
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    A,
    B,
    C,
    D,
    E,
    Network,
    Node,
    address,
    later,
)

KEY = b"b"
"""It lives in slot 0."""


def told(read: msg.Read, **changes: int) -> msg.Told:
    return msg.Told(replace(read.address, **changes), read.rid, NONE, EMPTY)


def refused(read: msg.Read, why: Why) -> msg.Refused:
    return msg.Refused(read.address, read.rid, why, FORMATION, 2, FIRST, sealed=False)


class InspectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()

    def inspect(self, op: int = 1) -> dict[str, msg.Read]:
        self.node.ask(op, Inspect(KEY), 1.0)
        return dict(self.node.take(msg.Read))

    def seen(self, op: int = 1) -> dict[Member, MemberSeen]:
        report = self.node.outcomes[op]
        assert isinstance(report, Inspected)
        self.assertEqual((report.slot, report.configuration), (0, FIRST))
        self.assertEqual([each.member for each in report.members], [A, B, C])
        return {each.member: each for each in report.members}

    def test_each_member_is_asked_and_the_answers_are_reported_with_their_times(
        self,
    ) -> None:
        reads = self.inspect()
        self.assertEqual(sorted(reads), ["B", "C"])
        self.assertEqual(reads["B"].address, address(B))
        self.node.wait(0.2)
        self.node.hear("B", told(reads["B"]))
        self.assertEqual(self.node.outcomes, {})
        self.node.hear("C", refused(reads["C"], Why.NOT_INSTALLED))
        seen = self.seen()
        self.assertEqual(seen[A].after, 0.0)
        self.assertAlmostEqual(seen[B].after or 0, 0.2)
        self.assertTrue(seen[A].tells and seen[B].tells)
        self.assertEqual((seen[C].tells, seen[C].why), (False, Why.NOT_INSTALLED))

    def test_what_a_member_holds_is_what_it_says(self) -> None:
        network = Network(Node(A), Node(B), Node(C))
        first = network.nodes["A"]
        first.ask(1, Put(KEY, b"blue", b"mine"))
        network.deliver()
        first.ask(2, Inspect(KEY), 1.0)
        network.deliver()
        report = first.outcomes[2]
        assert isinstance(report, Inspected)
        for seen in report.members:
            assert seen.content is not None
            self.assertEqual((seen.content.value, seen.content.version), (b"blue", 1))
        self.assertEqual(len({seen.accepted for seen in report.members}), 1)

    def test_who_gives_no_answer_is_reported_as_silent_when_the_time_is_up(self) -> None:
        reads = self.inspect()
        self.node.hear("B", told(reads["B"]))
        self.node.wait(1.0)
        self.assertEqual(self.seen()[C], MemberSeen(C, None, None, NONE, None))

    def test_a_member_that_cannot_be_reached_is_not_waited_for(self) -> None:
        reads = self.inspect()
        self.node.hear("B", told(reads["B"]))
        self.node.step(Lost("C"))
        self.assertIsNone(self.seen()[C].after)
        self.node.hear("C", told(reads["C"]))

    def test_an_answer_that_fits_no_question_counts_for_nothing(self) -> None:
        reads = self.inspect()
        read = reads["B"]
        for sender, answer in (
            ("C", told(read)),
            ("D", told(read)),
            ("B", told(read, epoch=2)),
            ("B", told(read, slot=1)),
            ("B", told(read, store=9)),
            ("B", msg.Told(read.address, read.rid + 1, NONE, EMPTY)),
            ("B", msg.Accepted(read.address, read.rid, NONE)),
        ):
            self.node.hear(sender, answer)
        self.node.wait(1.0)
        self.assertEqual([each.after for each in self.seen().values()], [0.0, None, None])

    def test_the_first_answer_of_a_member_counts(self) -> None:
        reads = self.inspect()
        self.node.hear("B", refused(reads["B"], Why.SEALED))
        self.node.hear("B", told(reads["B"]))
        self.node.wait(1.0)
        self.assertEqual(self.seen()[B].why, Why.SEALED)

    def test_a_node_that_gives_its_formation_up_reports_what_it_has_found_out(self) -> None:
        self.inspect()
        self.node.formation.close()
        self.assertEqual(self.node.formation.enquiries.ongoing, {})


class MayStopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()

    def ask(self, op: int = 1, *, leaving: bool = False) -> list[tuple[str, msg.Read]]:
        self.node.ask(op, MayStop(leaving), 1.0)
        return self.node.take(msg.Read)

    def slots(self, op: int = 1) -> tuple[SlotSeen, ...]:
        report = self.node.outcomes[op]
        assert isinstance(report, Standing)
        return report.slots

    def answer(self, reads: list[tuple[str, msg.Read]], *nodes: str) -> None:
        for node, read in reads:
            if node in nodes:
                self.node.hear(node, told(read))

    def test_the_other_members_of_every_slot_of_the_node_are_asked(self) -> None:
        reads = self.ask()
        asked = sorted((read.address.slot, node) for node, read in reads)
        self.assertEqual(asked, [(slot, node) for slot in range(4) for node in "BC"])
        self.answer(reads, "B", "C")
        self.assertEqual(
            self.slots(), tuple(SlotSeen(slot, FIRST, (B, C), ()) for slot in range(4))
        )
        self.assertTrue(all(seen.keeps_majority for seen in self.slots()))
        self.assertEqual(self.node.take(Leaving), [])

    def test_a_slot_with_a_member_that_does_not_answer_loses_its_majority(self) -> None:
        reads = self.ask()
        self.answer(reads, "B")
        self.node.step(Lost("C"))
        self.assertEqual([seen.answering for seen in self.slots()], [(B,)] * 4)
        self.assertFalse(any(seen.keeps_majority for seen in self.slots()))

    def test_a_member_that_has_not_installed_the_newest_epoch_does_not_count(self) -> None:
        reads = self.ask()
        self.answer(reads, "C")
        for node, read in reads:
            if node == "B":
                self.node.hear(node, refused(read, Why.NOT_INSTALLED))
        self.assertEqual([seen.answering for seen in self.slots()], [(C,)] * 4)

    def test_of_a_slot_that_moves_away_the_next_members_are_asked(self) -> None:
        new = later(2, C, D, E)
        self.node.hear("C", Lists(FORMATION, (Listed(0, new, serves=False, before=FIRST),)))
        reads = self.ask()
        here = {(node, read.address.epoch) for node, read in reads if read.address.slot == 0}
        self.assertEqual(here, {("C", 2), ("D", 2), ("E", 2)})
        self.answer(reads, "B", "C", "D")
        self.node.wait(1.0)
        self.assertEqual(self.slots()[0], SlotSeen(0, new, (C, D), ()))

    def test_a_node_that_holds_nothing_may_stop_without_asking_anybody(self) -> None:
        self.node = Node(D)
        self.assertEqual(self.ask(), [])
        self.assertEqual(self.slots(), ())

    def test_a_node_alone_is_needed_for_every_slot(self) -> None:
        lonely = SlotSeen(0, Configuration(1, 1, (A,)), (), ())
        self.assertFalse(lonely.keeps_majority)

    def test_who_is_about_to_stop_tells_the_members_of_its_slots(self) -> None:
        self.ask(leaving=True)
        self.assertEqual(
            self.node.take(Leaving), [("B", Leaving(FORMATION)), ("C", Leaving(FORMATION))]
        )

    def test_a_member_that_is_about_to_stop_does_not_count(self) -> None:
        self.node.hear("B", Leaving(FORMATION))
        self.answer(self.ask(), "B", "C")
        self.assertEqual([(s.answering, s.leaving) for s in self.slots()], [((C,), (B,))] * 4)

    def test_a_member_that_has_stopped_in_order_is_leaving_until_it_is_heard_from(self) -> None:
        self.node.hear("B", Leaving(FORMATION))
        self.node.wait(1.9)
        self.node.hear("B", Leaving(FORMATION))
        self.node.wait(1.0)
        reads = self.ask(1)
        self.answer(reads, "B", "C")  # it is about to close its connections
        self.assertEqual(self.slots(1)[0].leaving, (B,))
        self.node.wait(40.0)
        self.node.step(Lost("B"))
        self.answer(self.ask(2), "C")
        self.node.wait(1.0)
        self.assertEqual(self.slots(2)[0].leaving, (B,))
        self.answer(self.ask(3), "B", "C")
        self.assertEqual((self.slots(3)[0].leaving, self.slots(3)[0].answering), ((), (B, C)))

    def test_after_a_minute_a_member_that_has_stopped_is_one_that_is_missing(self) -> None:
        self.node.hear("B", Leaving(FORMATION))
        self.node.wait(60.0)
        self.answer(self.ask(), "C")
        self.node.wait(1.0)
        self.assertEqual(self.slots()[0].leaving, ())

    def test_no_more_nodes_are_remembered_to_leave_than_there_is_room_for(self) -> None:
        enquiries = self.node.formation.enquiries
        for number in range(4097):
            enquiries.on_leaving(f"n{number}")
        self.assertFalse(enquiries.leaves("n0"))
        self.assertTrue(enquiries.leaves("n1") and enquiries.leaves("n4096"))
