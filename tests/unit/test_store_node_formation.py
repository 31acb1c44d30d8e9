"""A node's part in a formation: which part gets what, and how news of slots travels."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Head, Member, Vote
from chordnet.core.store.base.effects import HeadKept
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.outcomes import Done, Found
from chordnet.core.store.base.records import EMPTY, GROUND, Applied, Content, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.asking import HEDGE_S
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.talk import Digest, Lists, Missing, Stock, Sum, Where
from chordnet.core.store.upkeep.offers import Offer, Ready
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    START,
    A,
    B,
    C,
    D,
    E,
    Even,
    Network,
    Node,
    address,
    encode,
    hail,
    later,
)

OTHER = bytes(16)
BALLOT = Ballot(1, 1, "B", 1)
SECOND = later(2, A, B, D)
SURE = Listed(1, SECOND)
UNSURE = Listed(1, SECOND, serves=False, before=FIRST)
KEY = b"b"
"""It lives in slot 0."""
CONTENT = Content(b"value", 1, None, (Applied(1, b"r"),))


class ArcTests(SynchronousTestCase):
    def test_the_slots_in_a_nodes_care_have_their_places_between_its_predecessor_and_itself(
        self,
    ) -> None:
        # Places are 0, 64, 128 and 192; A is at 85, D at 63, F at 246, B at 223.
        for before, slots in (("F", [0, 1]), ("D", [1]), ("B", [0, 1]), ("E", [0, 1, 3])):
            node = Node(near=())
            node.near("B", before=before)
            self.assertEqual(list(node.formation.arc()), slots)

    def test_all_slots_are_in_the_care_of_a_node_without_a_predecessor(self) -> None:
        node = Node(near=())
        node.near("B", before=None)
        self.assertEqual(list(node.formation.arc()), [0, 1, 2, 3])

    def test_a_node_that_is_in_no_ring_has_no_slots_in_its_care(self) -> None:
        node = Node()
        node.near("B", member=False)
        self.assertEqual(list(node.formation.arc()), [])

    def test_a_change_of_the_ring_is_followed_by_a_look_at_the_slots_at_once(self) -> None:
        node = Node()
        node.wait(0.3)
        formation = node.formation
        node.near("B", "C")
        self.assertEqual(formation.seats.settled_at, node.now)
        self.assertEqual(node.machine.deadline, node.now)

    def test_since_when_it_has_had_its_neighbours_does_not_change_while_they_are_the_same(
        self,
    ) -> None:
        node = Node(near=())
        for names, after in (("BC", 1.0), ("BC", 1.0), ("CB", 1.0), ("B", 4.0)):
            node.wait(1.0)
            node.near(*names)
            self.assertEqual(node.machine.around.settled, START + after)


class BeginTests(SynchronousTestCase):
    def test_what_the_disk_knows_of_configurations_is_in_the_directory_at_the_start(self) -> None:
        heads = (
            Head(FORMATION, 0, SECOND, settled=True),
            Head(FORMATION, 1, FIRST, sealed=True, newest=SECOND),
            Head(FORMATION, 2, FIRST),
            Head(FORMATION, 3, later(0), sealed=True, newest=later(5, A, D)),
        )
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, heads, ()))
        directory = node.formation.directory
        self.assertEqual(directory.of(0), Listed(0, SECOND))
        self.assertEqual(directory.of(1), UNSURE)
        self.assertEqual(directory.of(2), Listed(2, FIRST))
        unknown = Listed(3, later(5, A, D), serves=False, before=later(4))
        self.assertEqual(directory.of(3), unknown)

    def test_a_member_that_starts_does_not_take_it_for_granted_that_others_have_installed_its_state(
        self,
    ) -> None:
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, (Head(FORMATION, 1, SECOND),), ()))
        listed = Listed(1, SECOND, serves=False, before=later(1))
        self.assertEqual(node.formation.directory.of(1), listed)
        node.take(msg.Chosen)
        node.wait(3.0)
        told = dict(node.take(msg.Chosen))
        self.assertEqual(sorted(told), ["B", "D"])
        node.hear("B", msg.Installed(address(B, 1, 2), told["B"].rid))
        self.assertEqual(node.formation.directory.of(1), SURE)
        head = node.formation.holdings.slots[1].registers.head
        self.assertEqual(head, Head(FORMATION, 1, SECOND, settled=True))
        self.assertIn(HeadKept(head), node.entries)

    def test_who_has_lost_its_seat_keeps_its_records_until_a_majority_has_installed_the_next_epoch(
        self,
    ) -> None:
        for settled, kept in ((False, [KEY]), (True, [])):
            has = ((0, KEY, Record(BALLOT, BALLOT, CONTENT)),)
            heads = (Head(FORMATION, 0, SECOND, settled=settled),)
            first = Node(A, kept=Kept(1, 2, FOUNDING, FOUNDING, heads, has), near=("C",))
            head = Head(FORMATION, 0, FIRST, sealed=True, vote=Vote(BALLOT, SECOND.members))
            other = Node(C, kept=Kept(3, 2, FOUNDING, FOUNDING, (head,), has), near=("A",))
            network = Network(first, other)
            network.wait(20.0, 0.1)
            held = other.formation.holdings.slots[0].registers
            self.assertEqual(held.head.newest, SECOND)
            self.assertEqual(list(held.records), kept)

    def test_a_member_that_lacks_its_newest_state_when_it_starts_fetches_it(self) -> None:
        heads = (
            Head(FORMATION, 1, FIRST, sealed=True, newest=SECOND),
            Head(FORMATION, 3, later(0), sealed=True, newest=later(5, A, D)),
        )
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, heads, ()))
        node.wait(0.29)
        self.assertEqual(node.to(msg.Fetch), [])
        node.wait(0.02)
        fetched = {
            (to, fetch.address.slot, fetch.address.epoch) for to, fetch in node.take(msg.Fetch)
        }
        # Of slot 1 the final state and the new one; of slot 3 only the new one.
        expected = {("B", 1, 1), ("C", 1, 1), ("B", 1, 2), ("D", 1, 2), ("D", 3, 5)}
        self.assertEqual(fetched, expected)

    def test_a_member_that_was_sealed_before_it_started_finishes_the_change(self) -> None:
        head = Head(FORMATION, 2, FIRST, sealed=True, vote=Vote(BALLOT, (A, B, D)))
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, (head,), ()))
        node.take(msg.PrepareChange)
        node.wait(1.4)
        self.assertEqual(node.to(msg.PrepareChange), [])
        node.wait(0.2)
        self.assertEqual(node.to(msg.PrepareChange), ["B", "C"])

    def test_records_of_the_disk_are_there_at_the_start(self) -> None:
        kept = ((0, KEY, Record(BALLOT, BALLOT, CONTENT)),)
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, (), kept))
        node.hear("X", msg.Read(address(), 3, KEY))
        self.assertEqual(node.take(msg.Told), [("X", msg.Told(address(), 3, BALLOT, CONTENT))])

    def test_the_ballots_of_a_run_have_its_number_and_one_that_is_drawn(self) -> None:
        # The number of the run alone comes twice with an older copy of a disk.
        for seed in range(4):
            drawn = Even(seed)
            drawn.getrandbits(40)  # for the numbers of operations
            drawn.getrandbits(60)  # for the life of the disk
            drawn.randbytes(16)  # for its secret
            high = drawn.getrandbits(41) << 20
            for run, low in ((1, 1), ((1 << 20) - 1, (1 << 20) - 1), ((1 << 20) + 5, 5)):
                node = Node(kept=Kept(1, run, FOUNDING, FOUNDING), seed=seed)
                node.wait(10.0)
                node.ask(1, Put(KEY, b"v", b"r"))
                node.wait(HEDGE_S)
                ((_to, prepare),) = node.take(msg.Prepare, "B")
                self.assertEqual(prepare.ballot, Ballot(1, 1, "A", high + low))

    def test_repair_begins_with_the_formation(self) -> None:
        node = Node()
        node.wait(0.99)
        self.assertEqual(node.to(Sum), [])
        node.wait(0.01)
        self.assertEqual(len(node.to(Sum)), 1)


class TakenTests(SynchronousTestCase):
    """Which part gets a message."""

    def test_what_is_said_of_another_formation_is_let_go(self) -> None:
        node = Node()
        node.sent.clear()
        node.hear("B", Lists(OTHER, (SURE,)))
        for message in (
            Digest(OTHER, 5),
            Where(OTHER, (1,)),
            Sum(OTHER, address(), 5),
            Stock(OTHER, address(), B.store, None, ((b"k", BALLOT),), more=False),
            Missing(OTHER, address(), (), b""),
        ):
            node.hear("B", message)
        self.assertEqual(node.sent, [])
        self.assertEqual(node.formation.directory.of(1), Listed(1, FIRST))

    def test_what_is_said_of_this_formation_gets_to_its_part(self) -> None:
        for message, kind in (
            (Digest(FORMATION, 5), Digest),
            (Where(FORMATION, (1,)), Lists),
            (Sum(FORMATION, address(), 5), Stock),
            (Stock(FORMATION, address(), B.store, None, ((b"k", BALLOT),), more=False), Missing),
            (Missing(FORMATION, address(), (), b""), Stock),
        ):
            node = Node()
            node.sent.clear()
            node.hear("B", message)
            self.assertEqual([(to, type(each)) for to, each in node.sent], [("B", kind)])

    def test_messages_about_slots_that_there_are_not_are_let_go(self) -> None:
        node = Node()
        node.sent.clear()
        for request in (
            msg.Read(address(slot=4), 1, KEY),
            msg.Snapshot(address(slot=4), 1, None, (), GROUND, more=False),
            msg.Installed(address(slot=4), 1),
        ):
            node.hear("B", request)
        self.assertEqual(node.sent, [])
        node.hear("B", msg.Read(address(slot=3), 1, KEY))
        self.assertEqual(node.to(msg.Told), ["B"])

    def test_a_chosen_configuration_is_news_of_this_formation_alone(self) -> None:
        node = Node(D)
        told = msg.Chosen(address(D, slot=1, epoch=2), 7, FIRST, SECOND)
        node.hear("L", replace(told, address=replace(told.address, formation=OTHER)))
        self.assertEqual(node.formation.directory.of(1), Listed(1, FIRST))
        node.hear("B", told)
        self.assertEqual(node.formation.directory.of(1), UNSURE)

    def test_a_member_that_votes_on_a_change_finishes_it_if_nobody_else_does(self) -> None:
        node = Node()
        node.hear("B", msg.AcceptChange(address(slot=3), 7, BALLOT, (A, B, D)))
        self.assertEqual(node.to(msg.ChangeAccepted), ["B"])
        self.assertIsInstance(node.entries[-1], HeadKept)
        node.wait(1.45)
        self.assertEqual(node.to(msg.PrepareChange), [])
        node.wait(0.1)
        self.assertEqual(node.to(msg.PrepareChange), ["B", "C"])

    def test_a_vote_on_a_slot_that_a_node_does_not_hold_is_refused(self) -> None:
        node = Node(D)
        node.hear("L", msg.AcceptChange(address(D, slot=3), 7, BALLOT, (A, B, D)))
        self.assertEqual(node.to(msg.Refused), ["L"])

    def test_a_member_of_a_chosen_configuration_fetches_its_state_and_installs_it(self) -> None:
        node = Node(D)
        node.hear("B", msg.Chosen(address(D, slot=1, epoch=2), 7, FIRST, SECOND))
        self.assertEqual(node.to(msg.Fetch), ["A", "A", "B", "B", "C"])
        to = address(A, slot=1, epoch=2)
        node.hear("A", msg.Snapshot(to, 7, None, (), GROUND, more=False))
        self.assertEqual(node.take(msg.Installed), [("B", msg.Installed(address(D, 1, 2), 7))])
        self.assertEqual(node.machine.seats, 1)

    def test_an_installation_of_which_nothing_arrives_begins_again(self) -> None:
        node = Node(D)
        node.hear("B", msg.Chosen(address(D, slot=1, epoch=2), 7, FIRST, SECOND))
        node.take(msg.Fetch)
        node.wait(0.9)
        self.assertEqual(node.to(msg.Fetch), [])
        node.wait(0.2)
        self.assertEqual(node.to(msg.Fetch), ["A", "A", "B", "B", "C"])


class AnswerTests(SynchronousTestCase):
    """Answers to operations and changes."""

    def test_a_read_is_answered_by_a_majority_of_which_this_node_is_one(self) -> None:
        node = Node()
        node.ask(1, Get(KEY))
        node.wait(HEDGE_S)
        ((_to, read),) = node.take(msg.Read, "B")
        self.assertEqual(node.outcomes, {})
        node.hear("B", msg.Told(read.address, read.rid, NONE, EMPTY))
        self.assertEqual(node.outcomes, {1: Found(EMPTY)})

    def test_a_write_is_promised_and_accepted(self) -> None:
        node = Node()
        node.ask(1, Put(KEY, b"v", b"r"))
        node.wait(HEDGE_S)
        ((_to, ask),) = node.take(msg.Prepare, "B")
        node.hear("B", msg.Promised(ask.address, ask.rid, ask.ballot, NONE, EMPTY, 0))
        ((_to, write),) = node.take(msg.Accept, "B")
        node.hear("B", msg.Accepted(write.address, write.rid, write.ballot))
        self.assertEqual(node.outcomes, {1: Done(FORMATION, 0, 1, 1, (A, B), (C,))})

    def test_an_operation_that_is_disturbed_twice_tries_again_after_a_pause(self) -> None:
        node = Node()
        node.ask(1, Put(KEY, b"v", b"r"))
        node.wait(HEDGE_S)
        for counter in (9, 99):
            for member in (B, C):
                ((_to, ask),) = node.take(msg.Prepare, member.node)
                higher = Ballot(1, counter, "Z", 1)
                node.hear(member.node, msg.Outrun(ask.address, ask.rid, ask.ballot, higher))
            if counter == 9:
                node.wait(0.0)
        node.wait(0.003)
        self.assertEqual(node.to(msg.Prepare), [])
        node.wait(0.002)
        self.assertEqual(node.to(msg.Prepare), ["B", "C"])

    def test_an_operation_follows_a_refusal_to_where_its_slot_is(self) -> None:
        node = Node()
        node.ask(1, Get(KEY))
        node.wait(HEDGE_S)
        ((_to, read),) = node.take(msg.Read, "B")
        third = later(2, B, C, D)
        refused = msg.Refused(
            read.address, read.rid, msg.Why.MOVED, FORMATION, B.store, third, sealed=True
        )
        node.take(msg.Read)
        node.hear("B", refused)
        self.assertEqual(node.to(msg.Read), ["B", "C", "D"])

    def test_an_operation_reminds_and_ends_at_its_deadline(self) -> None:
        node = Node()
        node.ask(1, Get(KEY), timeout=0.7)
        node.wait(HEDGE_S)
        node.take(msg.Read)
        node.wait(0.6)
        self.assertEqual(node.to(msg.Read), ["B", "C"])
        node.wait(0.1)
        self.assertEqual(list(node.outcomes), [1])

    def test_an_operation_without_members_asks_the_neighbours_and_ends_without_news(self) -> None:
        node = Node()
        for name in "BC":
            node.machine.around.lose(name)
        node.ask(1, Get(KEY))
        self.assertCountEqual(node.to(Where), ["B", "C", "D", "E", "F"])
        node.wait(0.29)
        self.assertEqual(node.outcomes, {})
        node.wait(0.02)
        self.assertEqual(list(node.outcomes), [1])

    def test_answers_that_are_for_nobody_are_let_go(self) -> None:
        node = Node()
        node.sent.clear()
        for answer in (
            msg.Told(address(B), 12345, NONE, EMPTY),
            msg.Installed(address(B), 12345),
            msg.Forgotten(address(B), 12345),
        ):
            node.hear("B", answer)
        self.assertEqual(node.sent, [])


class ChangeTests(SynchronousTestCase):
    """Changes that a node leads, with the answers of others."""

    def led(self) -> tuple[Node, msg.PrepareChange]:
        """Return a node that replaces C, which has lost its disk, by D."""
        node = Node(near=())
        node.near("B", "D", before="D")
        for member in (B, D, Member("C", 99)):
            node.hear(member.node, hail(member))
        node.wait(0.0)
        for _to, offer in node.take(Offer, "D"):
            node.hear("D", Ready(FORMATION, offer.number, D.store))
        node.wait(0.6)
        ((_to, ask),) = node.take(msg.PrepareChange, "B")
        return node, ask

    def test_a_change_is_promised_voted_for_installed_and_told(self) -> None:
        node, ask = self.led()
        self.assertEqual(node.machine.view().changing, 1)
        node.take(msg.PrepareChange)
        node.hear("B", msg.ChangePromised(ask.address, ask.rid, ask.ballot, None))
        ((_to, vote),) = node.take(msg.AcceptChange, "B")
        self.assertEqual(vote.members, (A, B, D))
        node.hear("B", msg.ChangeAccepted(vote.address, vote.rid, vote.ballot))
        ((_to, told),) = node.take(msg.Chosen, "D")
        node.take(Lists)
        for member in (B, D):
            to = address(member, ask.address.slot, 2)
            node.hear(member.node, msg.Installed(to, told.rid))
        listed = Listed(ask.address.slot, SECOND)
        self.assertEqual(node.formation.directory.of(ask.address.slot), listed)
        self.assertEqual(node.to(msg.Forget), ["C"])
        self.assertEqual(node.machine.view().changing, 0)
        node.wait(0.02)
        self.assertEqual(
            [(to, m.listed) for to, m in node.take(Lists)], [("D", (listed,)), ("B", (listed,))]
        )

    def test_a_change_that_is_disturbed_goes_on_after_a_quarter_of_a_second(self) -> None:
        node, ask = self.led()
        for member in (B, C):
            to = address(member, ask.address.slot)
            higher = Ballot(1, 9, "Z", 1)
            node.hear(member.node, msg.Outrun(to, ask.rid, ask.ballot, higher))
        node.take(msg.PrepareChange)
        node.wait(0.24)
        self.assertEqual(node.to(msg.PrepareChange), [])
        node.wait(0.02)
        self.assertEqual(node.to(msg.PrepareChange), ["B", "C"])

    def test_a_change_without_an_answer_is_tried_again_after_a_second(self) -> None:
        node, _ask = self.led()
        node.take(msg.PrepareChange)
        node.wait(0.39)
        self.assertEqual(node.to(msg.PrepareChange), [])
        node.wait(0.02)
        self.assertEqual(node.to(msg.PrepareChange), ["B", "C"])

    def test_a_change_that_meets_a_later_configuration_is_over_and_that_is_news(self) -> None:
        node, ask = self.led()
        other = later(2, B, C, D)
        refused = msg.Refused(
            ask.address, ask.rid, msg.Why.MOVED, FORMATION, B.store, other, sealed=True
        )
        node.hear("B", refused)
        listed = node.formation.directory.of(ask.address.slot)
        self.assertEqual(listed, Listed(ask.address.slot, other, serves=False, before=FIRST))

    def test_a_change_that_meets_a_much_later_configuration_does_not_know_what_was_before_it(
        self,
    ) -> None:
        node, ask = self.led()
        refused = msg.Refused(
            ask.address, ask.rid, msg.Why.MOVED, FORMATION, B.store, later(7, B, C), sealed=True
        )
        node.hear("B", refused)
        listed = node.formation.directory.of(ask.address.slot)
        expected = Listed(ask.address.slot, later(7, B, C), serves=False, before=later(6))
        self.assertEqual(listed, expected)

    def test_who_is_no_member_ends_no_change(self) -> None:
        node, ask = self.led()
        refused = msg.Refused(
            ask.address, ask.rid, msg.Why.MOVED, FORMATION, B.store, later(7, B, C), sealed=True
        )
        node.hear("X", refused)
        self.assertEqual(node.machine.view().changing, 1)


class NewsTests(SynchronousTestCase):
    def heard(self, node: Node, *listed: Listed) -> None:
        node.take(Lists)
        node.hear("B", Lists(FORMATION, listed))

    def told(self, node: Node) -> list[tuple[str, tuple[Listed, ...]]]:
        return [(to, message.listed) for to, message in node.take(Lists)]

    def test_news_is_told_to_both_neighbours_after_a_moment_together(self) -> None:
        node = Node()
        self.heard(node, SURE)
        node.wait(0.019)
        other = Listed(2, SECOND)
        self.assertEqual(self.told(node), [])
        node.hear("B", Lists(FORMATION, (other,)))
        node.wait(0.002)
        self.assertEqual(self.told(node), [("F", (SURE, other)), ("B", (SURE, other))])
        node.wait(1.0)
        self.assertEqual(self.told(node), [])
        node.hear("B", Lists(FORMATION, (Listed(3, SECOND),)))
        node.wait(0.02)
        third = (Listed(3, SECOND),)
        self.assertEqual(self.told(node), [("F", third), ("B", third)])

    def test_a_neighbour_on_both_sides_is_told_once(self) -> None:
        node = Node(near=())
        node.near("B", before="B")
        self.heard(node, SURE)
        node.wait(0.02)
        self.assertEqual([to for to, _listed in self.told(node)], ["B"])
        node.near("B", before=None)
        self.heard(node, Listed(2, SECOND))
        node.wait(0.02)
        self.assertEqual([to for to, _listed in self.told(node)], ["B"])

    def test_what_is_known_or_cannot_be_is_no_news(self) -> None:
        node = Node()
        self.heard(node, SURE)
        node.wait(0.02)
        self.heard(node, SURE, UNSURE, Listed(1, FIRST), Listed(4, SECOND), Listed(0, later(2)))
        node.wait(0.02)
        self.assertEqual(self.told(node), [])

    def test_a_member_that_hears_of_a_later_configuration_installs_it_and_operations_follow(
        self,
    ) -> None:
        node = Node(D)
        node.ask(1, Get(KEY))
        node.take(msg.Read)
        self.heard(node, Listed(0, SECOND))
        self.assertEqual(node.to(msg.Read), ["A", "B"])
        node.wait(0.31)
        self.assertEqual(node.to(msg.Fetch), ["A", "A", "B", "B"])

    def test_directories_are_compared_with_the_next_node_at_every_greeting(self) -> None:
        node = Node()
        node.wait(14.99)
        node.take(Digest)
        node.wait(15.0)
        self.assertEqual(node.take(Digest), [("B", Digest(FORMATION, 0))])
        node.near()
        node.wait(15.0)
        self.assertEqual(node.take(Digest), [])

    def test_whoever_knows_the_same_does_not_answer(self) -> None:
        node = Node()
        self.heard(node, SURE)
        node.sent.clear()
        node.hear("B", Digest(FORMATION, node.formation.directory.digest))
        self.assertEqual(node.sent, [])

    def test_whoever_knows_something_else_lists_it_and_asks_for_the_same_once(self) -> None:
        node = Node()
        self.heard(node, SURE)
        node.sent.clear()
        node.hear("B", Digest(FORMATION, 0))
        digest = node.formation.directory.digest
        self.assertEqual(
            node.sent,
            [("B", Lists(FORMATION, (SURE,))), ("B", Digest(FORMATION, digest, back=True))],
        )
        node.sent.clear()
        node.hear("B", Digest(FORMATION, 0, back=True))
        self.assertEqual(node.sent, [("B", Lists(FORMATION, (SURE,)))])

    def test_a_node_is_given_the_whole_directory_once_in_five_seconds(self) -> None:
        node = Node()
        self.heard(node, SURE)
        for after, lists in ((0.1, 1), (4.8, 0), (0.2, 1)):
            node.wait(after)
            node.take(Lists)
            for back in (False, True):
                for _ in range(2):
                    node.hear("X", Digest(FORMATION, 7, back))
            self.assertEqual(len(node.take(Lists, "X")), 2 * lists)

    def test_long_lists_are_cut_after_256_slots(self) -> None:
        founding = Founding("net", 16, 512, 3, (A, B, C))
        node = Node(A, founding, slots=512, bits=16)
        for many, pages in ((256, [256]), (257, [256, 1]), (512, [256, 256])):
            asked = tuple(range(many))
            for first in range(0, many, 256):
                node.hear("X", Where(founding.id, asked[first : first + 256]))
            self.assertEqual([len(listed) for _to, listed in self.told(node)], pages)
        listed = tuple(Listed(slot, SECOND) for slot in range(300))
        self.heard_of(node, founding, listed)
        node.take(Lists)
        node.hear("X", Digest(founding.id, 0))
        pages = [each for _to, each in self.told(node)]
        self.assertEqual([len(page) for page in pages], [256, 44])
        self.assertEqual((*pages[0], *pages[1]), listed)

    def test_lists_of_members_with_long_names_are_cut_after_64_kib(self) -> None:
        founding = Founding("net", 16, 256, 9, (A, B, C))
        node = Node(A, founding, slots=256, bits=16, replicas=9)
        members = tuple(Member(f"{number}" * 255, number) for number in range(9))
        known = tuple(
            Listed(
                slot,
                later(3, *members),
                serves=False,
                before=later(2, *members),
            )
            for slot in range(256)
        )
        for each in known:
            node.hear("B", Lists(founding.id, (each,)))
        node.take(Lists)
        node.hear("X", Digest(founding.id, 0))
        said = [message for _to, message in node.take(Lists)]
        self.assertEqual(tuple(each for message in said for each in message.listed), known)
        for message in said:
            self.assertLess(len(encode(message)), 65_600)
        # Each is as long as it may be.
        self.assertEqual({len(message.listed) for message in said[:-1]}, {14})

    def heard_of(self, node: Node, founding: Founding, listed: tuple[Listed, ...]) -> None:
        node.hear("B", Lists(founding.id, listed[:256]), Lists(founding.id, listed[256:]))

    def test_whoever_asks_where_slots_are_is_told_what_is_known_of_them(self) -> None:
        node = Node()
        self.heard(node, SURE)
        node.hear("X", Where(FORMATION, (3, 1, 4, 9)))
        self.assertEqual(self.told(node), [("X", (Listed(3, FIRST), SURE))])


class SeenTests(SynchronousTestCase):
    def test_slots_need_a_disk_as_a_member_or_while_it_serves_them(self) -> None:
        node = Node()
        self.assertEqual(node.machine.seats, 4)
        without = later(2, B, C, D)
        node.hear("B", Lists(FORMATION, (Listed(0, without, serves=False, before=FIRST),)))
        self.assertEqual(node.machine.seats, 4)
        node.hear("B", Lists(FORMATION, (Listed(0, without),)))
        self.assertEqual(node.machine.seats, 3)
        node = Node(D)
        node.hear("B", Lists(FORMATION, (SURE,)))
        self.assertEqual(node.machine.seats, 1)

    def test_the_view_has_every_slot_with_what_is_held_of_it(self) -> None:
        kept = ((0, KEY, Record(BALLOT, BALLOT, CONTENT)),)
        node = Node(kept=Kept(1, 1, FOUNDING, FOUNDING, (), kept))
        node.hear("B", Lists(FORMATION, (Listed(1, later(2, B, C, D)),)))
        slots = node.machine.view().slots
        self.assertEqual([each.slot for each in slots], [0, 1, 2, 3])
        self.assertEqual([each.keys for each in slots], [1, 0, 0, 0])
        self.assertEqual([each.installed for each in slots], [(1, 1), None, (1, 1), (1, 1)])


class TogetherTests(SynchronousTestCase):
    """A few nodes, whose letters all arrive."""

    def ring(self) -> Network:
        """Return D, A, C, E in the order of their ring; the founders are A, C and E."""
        founding = Founding("net", 8, 4, 3, (A, C, E))
        network = Network(
            *(Node(each, founding, near=(), founders=("A", "C", "E")) for each in (A, C, E))
        )
        for before, name, near in (("E", "A", "CE"), ("A", "C", "EA"), ("C", "E", "AC")):
            network.nodes[name].near(*near, before=before)
        return network

    def test_a_node_that_joins_gets_its_seats_and_what_was_written(self) -> None:
        network = self.ring()
        network.wait(1.0)
        network.nodes["A"].ask(1, Put(KEY, b"v", b"r"))
        network.deliver()
        self.assertIsInstance(network.nodes["A"].outcomes[1], Done)
        network.nodes["D"] = Node(D, None, near=(), founders=("A", "C", "E"))
        for before, name, near in (
            ("E", "D", "ACE"), ("D", "A", "CED"), ("A", "C", "EDA"), ("C", "E", "DAC"),
        ):  # fmt: skip
            network.nodes[name].near(*near, before=before)
        network.wait(12.0, 0.02)
        held = network.nodes["D"].machine.seats
        self.assertGreater(held, 0)
        network.nodes["D"].ask(2, Get(KEY))
        network.deliver()
        found = network.nodes["D"].outcomes[2]
        assert isinstance(found, Found)
        self.assertEqual(found.content.value, b"v")
        digests = {node.formation.directory.digest for node in network.nodes.values()}
        self.assertEqual(len(digests), 1)
