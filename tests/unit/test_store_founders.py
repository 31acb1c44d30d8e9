"""How a store begins: one founder's vote, what it adopts, what it refuses, and what it tells."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.ballots import NONE
from chordnet.core.store.base.configurations import Member, blank
from chordnet.core.store.base.effects import FoundingKept, Keep, Noted, VoteKept
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.records import EMPTY, Record
from chordnet.core.store.begin.founders import MOST_TOLD, Founders
from chordnet.core.store.begin.hails import Hail, fault_of
from chordnet.core.store.begin.settings import StoreSettings

A, B, C = (Member(name, 1) for name in "abc")


def founding(*disks: Member, **changed: object) -> Founding:
    return replace(Founding("net", 8, 4, 3, disks), **changed)


STORE = founding(A, B, C)
OTHER = founding(Member("x", 1), Member("y", 1))
ALONE = founding(A)


def own(founders: str = "abc", **changed: object) -> Hail:
    hail = Hail(1, 1, True, False, "net", 8, 4, 3, tuple(founders), None, None, True, False)
    return replace(hail, **changed)


class Node:
    """A founder, with what it has asked for so far."""

    def __init__(
        self,
        me: str = "a",
        founders: str | tuple[str, ...] = "abc",
        *,
        seat: bool = True,
        **kept: object,
    ) -> None:
        settings = StoreSettings(
            network="net", bits=8, founders=tuple(founders), slots=4, replicas=3, seat=seat
        )
        disk = replace(Kept(1, 1), **kept)
        self.founders = Founders(settings, Member(me, disk.store), disk)
        self.effects = self.founders.begin()

    def hears(
        self, sender: str, founders: str | tuple[str, ...] = "abc", **changed: object
    ) -> Node:
        hail = own(founders, **changed)  # type: ignore[arg-type]
        assert not fault_of(sender, hail)
        self.effects += self.founders.on_hail(sender, hail)
        return self

    def says(self, *, vacating: bool = False, asks: bool = False) -> Hail:
        return self.founders.hail(vacating, asks=asks)

    @property
    def kept(self) -> list[object]:
        return [
            each for effect in self.effects if isinstance(effect, Keep) for each in effect.entries
        ]

    @property
    def alarms(self) -> list[str]:
        return [e.text for e in self.effects if isinstance(e, Noted) and e.alarming]

    @property
    def notes(self) -> list[str]:
        return [e.text for e in self.effects if isinstance(e, Noted) and not e.alarming]


def voted(**changed: object) -> Node:
    """A founder that has voted in an earlier run."""
    return Node(vote=STORE, **changed)


class VoteTests(SynchronousTestCase):
    def test_a_founder_votes_when_it_has_heard_all_and_keeps_that(self) -> None:
        node = Node().hears("b")
        self.assertEqual((node.kept, node.says().vote), ([], None))
        node.hears("c")
        self.assertEqual(node.kept, [VoteKept(STORE)])
        self.assertEqual(node.says().vote, STORE)
        self.assertIsNone(node.founders.founding)
        self.assertEqual(node.alarms, [])

    def test_a_founder_votes_for_the_disks_that_it_heard_of_last(self) -> None:
        node = Node(store=7).hears("b", store=8).hears("b", store=9).hears("c")
        self.assertEqual(node.kept, [VoteKept(founding(Member("a", 7), Member("b", 9), C))])

    def test_the_order_of_the_founders_in_the_configuration_is_of_no_account(self) -> None:
        node = Node("b", "cab")
        self.assertEqual(node.says().founders, ("a", "b", "c"))
        node.hears("c").hears("a")
        self.assertEqual(node.kept, [VoteKept(STORE)])

    def test_a_founder_that_is_configured_twice_is_one(self) -> None:
        self.assertEqual(Node("a", "abab").says().founders, ("a", "b"))

    def test_a_founder_does_not_vote_twice(self) -> None:
        node = Node().hears("b").hears("c").hears("b", store=2).hears("c", store=2)
        self.assertEqual(node.kept, [VoteKept(STORE)])
        self.assertEqual(voted().hears("b", store=2).hears("c", store=2).kept, [])

    def test_a_node_that_is_no_founder_does_not_vote(self) -> None:
        for node in (Node("d"), Node("d", "")):
            node.hears("a").hears("b").hears("c").hears("c", vote=STORE)
            self.assertEqual((node.effects, node.founders.wanted), ([], ()))

    def test_a_founder_does_not_count_nodes_that_are_none(self) -> None:
        self.assertEqual(Node().hears("b").hears("d").effects, [])

    def test_what_comes_from_its_own_name_is_not_heard(self) -> None:
        node = Node("a", "ab").hears("a", "ab", store=5)
        node.hears("a", "ab", founding=OTHER)
        self.assertEqual(node.effects, [])
        self.assertEqual(node.hears("b", "ab").kept, [VoteKept(founding(A, B))])

    def test_the_only_founder_begins_its_store_at_once(self) -> None:
        node = Node("a", "a")
        self.assertEqual(node.kept, [VoteKept(ALONE), FoundingKept(ALONE)])
        self.assertEqual(node.founders.founding, ALONE)
        self.assertEqual(
            node.notes, [f"belongs to the store {ALONE.id.hex()} of a: the store has begun"]
        )

    def test_the_only_founder_that_crashed_after_its_vote_begins_its_store_at_once(self) -> None:
        self.assertEqual(Node("a", "a", vote=ALONE).kept, [FoundingKept(ALONE)])

    def test_a_node_that_belongs_to_a_formation_never_votes(self) -> None:
        node = Node(founding=OTHER).hears("b").hears("c")
        self.assertEqual(node.effects, [])
        self.assertEqual(Node("a", "a", founding=OTHER).effects, [])

    def test_the_same_is_asked_for_once_however_often_it_begins(self) -> None:
        node = Node().hears("b").hears("c")
        self.assertEqual(node.founders.begin(), [])
        self.assertEqual(Node("a", "a").founders.begin(), [])
        self.assertEqual(Node(seat=False).founders.begin(), [])

    def test_what_a_node_says_is_how_it_is_configured_and_what_is_on_its_disk(self) -> None:
        head = blank(b"", 0, 1)
        node = Node("d", "cb", seat=False, store=7, run=3, heads=(head,))
        said = own("bc", store=7, run=3, seat=False, vacating=True, empty=False, asks=True)
        self.assertEqual(node.says(vacating=True, asks=True), said)

    def test_a_disk_with_a_head_or_a_record_is_not_empty(self) -> None:
        record = (0, b"key", Record(NONE, NONE, EMPTY))
        self.assertTrue(Node().says().empty)
        self.assertFalse(Node(heads=(blank(b"", 0, 1),)).says().empty)
        self.assertFalse(Node(records=(record,)).says().empty)


class CompletionTests(SynchronousTestCase):
    def test_the_store_has_begun_when_all_votes_are_seen(self) -> None:
        node = voted().hears("b", vote=STORE)
        self.assertEqual(node.kept, [])
        node.hears("c", vote=STORE)
        self.assertEqual(node.kept, [FoundingKept(STORE)])
        self.assertEqual(node.founders.founding, STORE)
        self.assertEqual(
            node.notes, [f"belongs to the store {STORE.id.hex()} of a, b, c: the store has begun"]
        )

    def test_the_last_to_vote_knows_at_once_that_the_store_has_begun(self) -> None:
        node = Node().hears("b", vote=STORE).hears("c", vote=STORE)
        self.assertEqual(node.kept, [VoteKept(STORE), FoundingKept(STORE)])

    def test_votes_that_were_heard_before_its_own_are_counted_and_only_those(self) -> None:
        node = Node().hears("b", vote=STORE).hears("c")
        self.assertEqual(node.kept, [VoteKept(STORE)])
        self.assertEqual(node.founders.wanted, ("c",))
        self.assertEqual(node.hears("c", vote=STORE).kept[1:], [FoundingKept(STORE)])

    def test_the_same_vote_twice_is_one(self) -> None:
        self.assertEqual(voted().hears("b", vote=STORE).hears("b", vote=STORE).kept, [])

    def test_a_vote_counts_although_its_disk_was_lost_since(self) -> None:
        node = voted().hears("b", vote=STORE).hears("b", store=2).hears("c", vote=STORE)
        self.assertEqual(node.kept, [FoundingKept(STORE)])

    def test_a_vote_for_something_else_does_not_count(self) -> None:
        other = replace(STORE, slots=8)
        node = voted().hears("b", vote=other).hears("c", vote=STORE)
        self.assertEqual(node.kept, [])

    def test_who_belongs_to_a_formation_says_that_and_no_vote(self) -> None:
        node = voted(founding=STORE)
        self.assertEqual(node.says(), own(founding=STORE))

    def test_a_founder_that_has_not_begun_says_its_vote(self) -> None:
        self.assertEqual(voted().says(), own(vote=STORE))

    def test_the_beginning_of_the_store_is_told_once(self) -> None:
        node = voted().hears("b", vote=STORE).hears("c", vote=STORE)
        told = len(node.effects)
        node.hears("b", vote=STORE).hears("c", founding=STORE)
        self.assertEqual(len(node.effects), told)


class WantedTests(SynchronousTestCase):
    def test_before_its_vote_a_founder_wants_all_others(self) -> None:
        self.assertEqual(Node().hears("b").founders.wanted, ("b", "c"))

    def test_after_its_vote_a_founder_wants_those_whose_vote_it_has_not_seen(self) -> None:
        self.assertEqual(voted().hears("c", vote=STORE).founders.wanted, ("b",))

    def test_in_a_formation_a_founder_wants_none(self) -> None:
        self.assertEqual(voted(founding=STORE).founders.wanted, ())

    def test_after_the_vote_the_founders_are_those_that_were_voted_for(self) -> None:
        node = Node("a", "ad", vote=STORE)
        self.assertEqual(node.founders.wanted, ("b", "c"))
        node.hears("b", vote=STORE).hears("c", vote=STORE)
        self.assertEqual(node.founders.founding, STORE)


class ObstacleTests(SynchronousTestCase):
    """What stops the beginning; told once, and as loudly as can be."""

    def check_stopped(self, node: Node, alarm: str) -> None:
        self.assertEqual(node.kept, [])
        self.assertEqual(len(node.alarms), 1, node.alarms)
        self.assertIn(alarm, node.alarms[0])

    def test_founders_with_different_lists_begin_no_store(self) -> None:
        node = Node().hears("b").hears("c", "bc").hears("c", "bc")
        self.check_stopped(
            node,
            "the founder c was started with founders b, c, 4 slots, 3 replicas, 8 bits, network"
            " net, and here it is founders a, b, c, 4 slots, 3 replicas, 8 bits, network net: no"
            " store begins until all founders say the same",
        )

    def test_a_founder_that_was_told_of_none_stops_the_beginning(self) -> None:
        self.check_stopped(Node().hears("c", ""), "c was started with founders (none), 4 slots")

    def test_names_with_commas_are_not_taken_for_several(self) -> None:
        node = Node("a", ("a", "b, c")).hears("b, c", ("a", "b", "c"))
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_founders_with_different_figures_begin_no_store(self) -> None:
        figures = {"slots": 4, "replicas": 3, "bits": 8, "network": "net"}
        for figure, value in {"slots": 8, "replicas": 5, "bits": 9, "network": "nut"}.items():
            node = Node("a", "ab").hears("b", "ab", **{figure: value})
            theirs, ours = (
                "founders a, b, {slots} slots, {replicas} replicas, {bits} bits,"
                " network {network}".format(**each)
                for each in ({**figures, figure: value}, figures)
            )
            self.check_stopped(
                node, f"the founder b was started with {theirs}, and here it is {ours}: no store"
            )

    def test_a_founder_whose_configuration_was_mended_is_voted_for(self) -> None:
        node = Node("a", "ab").hears("b", "bc").hears("b", "ab")
        self.assertEqual(node.kept, [VoteKept(founding(A, B))])

    def test_a_founder_that_keeps_no_store_stops_the_beginning(self) -> None:
        node = Node().hears("b", seat=False).hears("c")
        self.check_stopped(node, "the founder b keeps no store: no store can begin with it")

    def test_a_founder_that_keeps_no_store_says_so_itself(self) -> None:
        node = Node(seat=False).hears("b").hears("c")
        self.check_stopped(node, "this node is a founder and keeps no store")
        self.check_stopped(Node("a", "a", seat=False), "this node is a founder and keeps no store")
        self.assertEqual(Node("d", "abc", seat=False).alarms, [])

    def test_a_vote_for_an_earlier_disk_of_this_node_stops_the_beginning(self) -> None:
        node = Node(store=2).hears("b", vote=STORE)
        self.check_stopped(
            node,
            "the store cannot begin: a had another disk when a founder (b) voted; if no node has"
            " the store yet, nothing is lost: start all founders with empty stores",
        )
        self.check_stopped(node.hears("c"), "the store cannot begin: a had another disk")

    def test_a_vote_for_an_earlier_disk_of_a_third_founder_stops_the_beginning(self) -> None:
        node = Node().hears("c", store=2).hears("b", vote=STORE)
        self.check_stopped(node, "c had another disk when a founder (b) voted")

    def test_a_disk_that_is_lost_after_it_was_voted_for_stops_the_beginning(self) -> None:
        node = voted().hears("b", store=2).hears("b", store=2)
        self.check_stopped(node, "b had another disk when a founder (a) voted")

    def test_a_vote_for_other_figures_stops_the_beginning(self) -> None:
        node = Node().hears("b", vote=replace(STORE, slots=8)).hears("c")
        self.check_stopped(node, "the founder b has voted for founders a, b, c, 8 slots")

    def test_a_vote_for_other_founders_stops_the_beginning(self) -> None:
        node = voted().hears("b", vote=founding(A, B))
        self.check_stopped(node, "the founder b has voted for founders a, b, 4 slots")

    def test_what_a_founder_has_voted_for_counts_and_not_how_it_is_configured_now(self) -> None:
        node = Node().hears("b", "bd", slots=16, vote=STORE).hears("c")
        self.assertEqual((node.kept, node.alarms), ([VoteKept(STORE)], []))

    def test_a_founder_that_is_configured_otherwise_since_the_vote_is_told_of(self) -> None:
        self.check_stopped(voted().hears("b", slots=8), "the founder b was started with")

    def test_a_founder_that_is_late_is_no_obstacle_yet(self) -> None:
        self.assertEqual(Node().hears("b").alarms, [])

    def test_the_missing_are_named_when_it_takes_long(self) -> None:
        node = Node().hears("c")
        node.effects += node.founders.overdue() + node.founders.overdue()
        self.check_stopped(node, "no store yet: it waits for the founders b")

    def test_those_that_have_not_voted_are_named_when_it_takes_long(self) -> None:
        node = voted().hears("c", vote=STORE)
        node.effects += node.founders.overdue()
        self.check_stopped(node, "no store yet: it waits for the founders b")
        node = Node().hears("b").hears("c")
        (alarm,) = node.founders.overdue()
        self.assertEqual(alarm.text, "no store yet: it waits for the founders b, c")

    def test_no_one_is_missing_if_all_were_heard_or_the_store_is_there(self) -> None:
        heard = Node().hears("b").hears("c", seat=False)
        waiting = Node("d", "", founding=ALONE).hears("x", founding=OTHER)
        self.assertEqual(waiting.founders.wanted, ("a",))
        for node in (heard, Node("d"), voted(founding=STORE), waiting):
            self.assertEqual(node.founders.overdue(), [])

    def test_no_more_causes_are_told_than_a_few_hundred(self) -> None:
        node = Node("d", "", founding=STORE)
        for number in range(MOST_TOLD + 5):
            node.hears("x", founding=founding(Member("x", 1), Member("y", number)))
        self.assertEqual((len(node.alarms), MOST_TOLD), (256, 256))


class AdoptionTests(SynchronousTestCase):
    def check_adopted(self, node: Node, which: Founding) -> None:
        self.assertEqual(node.kept, [FoundingKept(which)])
        self.assertEqual((node.founders.founding, node.alarms), (which, []))

    def test_an_empty_node_adopts_the_formation_that_it_meets(self) -> None:
        node = Node("d", "").hears("b", founding=STORE)
        self.check_adopted(node, STORE)
        self.assertEqual(
            node.notes, [f"belongs to the store {STORE.id.hex()} of a, b, c: met at b"]
        )

    def test_a_node_without_a_disk_adopts_it_too(self) -> None:
        self.check_adopted(Node("d", "", seat=False).hears("b", founding=STORE), STORE)

    def test_other_figures_are_adopted_with_the_formation(self) -> None:
        other = replace(STORE, slots=16, replicas=5)
        self.check_adopted(Node("d", "").hears("b", founding=other), other)

    def test_a_founder_that_lost_its_disk_adopts_the_store_of_the_others(self) -> None:
        self.check_adopted(Node(store=2).hears("b", founding=STORE), STORE)

    def test_a_founder_that_has_not_voted_adopts_a_store_of_others(self) -> None:
        self.check_adopted(Node().hears("b").hears("x", founding=OTHER), OTHER)

    def test_a_founder_adopts_what_it_has_voted_for_if_anybody_says_that_it_exists(self) -> None:
        self.check_adopted(voted().hears("d", founding=STORE), STORE)

    def test_a_founder_that_has_voted_refuses_another_and_says_so_once(self) -> None:
        node = voted().hears("x", founding=OTHER).hears("x", founding=OTHER)
        self.assertEqual(node.kept, [])
        self.assertEqual(
            "".join(node.alarms),
            f"x belongs to the store {OTHER.id.hex()} of x, y, but this node has voted for"
            " another, which may have begun: they refuse each other, and nothing is changed in"
            " either",
        )
        node.hears("b", vote=STORE).hears("c", vote=STORE)
        self.assertEqual(node.founders.founding, STORE)

    def test_a_vote_is_void_when_one_of_its_disks_belongs_to_another_formation(self) -> None:
        self.check_adopted(voted().hears("b", founding=OTHER), OTHER)

    def test_a_vote_is_not_void_because_of_a_later_disk_of_a_founder(self) -> None:
        node = voted().hears("b", store=2, founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_a_disk_that_has_forgotten_its_vote_does_not_adopt_what_it_has_voted_for(self) -> None:
        for which in (STORE, ALONE):
            node = Node().hears("b", founding=which).hears("b", founding=which)
            self.assertEqual(node.kept, [])
            self.assertEqual(
                "".join(node.alarms),
                f"this disk is a founder of the store {which.id.hex()} of"
                f" {', '.join(each.node for each in which.founders)}, as b says, and does not know"
                " of its vote: it is an older copy of a disk; start with an empty store",
            )

    def test_a_formation_of_another_network_or_width_is_not_adopted(self) -> None:
        for figure in ({"network": "nut"}, {"bits": 9}):
            other = replace(STORE, **figure)
            node = Node("d", "").hears("b", founding=other).hears("b", founding=other)
            self.assertEqual(node.kept, [])
            self.assertEqual(
                "".join(node.alarms),
                f"b belongs to the store {other.id.hex()} of a, b, c, which is for the network"
                f" {other.network} of {other.bits} bits: this node has nothing to do with it",
            )

    def test_an_empty_formation_is_adopted_by_a_node_that_waits_for_none(self) -> None:
        alone = founding(Member("x", 1))
        self.check_adopted(Node("d", "").hears("x", founding=alone), alone)
        self.check_adopted(Node("d", "", seat=False).hears("x", founding=alone), alone)

    def test_an_only_founder_that_keeps_no_store_waits_for_none(self) -> None:
        alone = founding(Member("x", 1))
        node = Node("d", "d", seat=False).hears("x", founding=alone)
        self.assertEqual(node.kept, [FoundingKept(alone)])

    def test_a_founder_that_waits_for_others_does_not_adopt_an_empty_formation(self) -> None:
        alone = founding(Member("x", 1))
        for node in (Node(), voted(), Node("d")):
            node.hears("x", founding=alone).hears("z", founding=alone)
            self.assertEqual(node.effects, [])

    def test_a_founder_that_waits_for_others_adopts_one_that_has_kept_something(self) -> None:
        alone = founding(Member("x", 1))
        for sender in "xz":
            self.check_adopted(Node().hears(sender, founding=alone, empty=False), alone)
        self.assertEqual(len(voted().hears("x", founding=alone, empty=False).alarms), 1)

    def test_a_founder_adopts_the_empty_formation_of_one_that_it_waits_for(self) -> None:
        self.check_adopted(Node().hears("x", founding=founding(B)), founding(B))
        alone = founding(Member("x", 1))
        self.check_adopted(Node().hears("b", founding=alone), alone)


class OfTwoFormationsTests(SynchronousTestCase):
    def check_refused(self, node: Node, alarms: int = 1) -> None:
        self.assertEqual(node.kept, [])
        self.assertEqual(len(node.alarms), alarms, node.alarms)

    def test_nodes_of_two_formations_refuse_each_other_once_for_each_peer_and_formation(
        self,
    ) -> None:
        node = voted(founding=STORE)
        node.hears("x", founding=OTHER).hears("x", founding=OTHER)
        self.assertEqual(
            "".join(node.alarms),
            f"x belongs to the store {OTHER.id.hex()} of x, y, but this node belongs to the"
            f" store {STORE.id.hex()} of a, b, c: they refuse each other, and nothing is changed"
            " in either",
        )
        self.check_refused(node.hears("y", founding=OTHER), 2)
        self.check_refused(node.hears("y", founding=replace(OTHER, slots=8)), 3)
        self.assertEqual(node.founders.wanted, ())

    def test_a_node_of_the_same_formation_is_not_refused(self) -> None:
        self.check_refused(voted(founding=STORE).hears("b", founding=STORE), 0)

    def test_a_formation_of_several_is_not_left_even_if_a_founder_says_so(self) -> None:
        self.check_refused(voted(founding=STORE).hears("b", founding=OTHER))

    def test_an_empty_formation_that_will_come_over_is_not_refused(self) -> None:
        alone = founding(Member("x", 1))
        self.check_refused(voted(founding=STORE).hears("x", founding=alone), 0)
        self.check_refused(voted(founding=STORE).hears("x", founding=alone, empty=False))

    def test_an_empty_formation_is_refused_if_it_is_not_its_founder_who_says_so(self) -> None:
        alone = founding(Member("x", 1))
        self.check_refused(voted(founding=STORE).hears("z", founding=alone))
        self.check_refused(voted(founding=STORE).hears("x", store=2, founding=alone))


class GivenUpTests(SynchronousTestCase):
    """A formation of one founder that is empty is given up for another."""

    def setUp(self) -> None:
        stores = [founding(Member("x", store)) for store in range(1, 50)]
        self.small = min(stores, key=lambda each: each.id)
        self.large = max(stores, key=lambda each: each.id)
        self.assertTrue(self.small.id < ALONE.id < self.large.id)

    def alone(self, **changed: object) -> Node:
        node = Node("a", "a", vote=ALONE, founding=ALONE, **changed)
        self.assertEqual(node.effects, [])
        return node

    def check_given_up(self, node: Node, which: Founding) -> None:
        self.assertEqual(node.kept, [FoundingKept(which)])
        self.assertEqual((node.founders.founding, node.alarms), (which, []))
        self.assertEqual(node.founders.wanted, ())

    def test_a_formation_of_several_founders_takes_its_place(self) -> None:
        node = self.alone().hears("x", founding=OTHER)
        self.check_given_up(node, OTHER)
        self.assertEqual(
            "".join(node.notes),
            f"belongs to the store {OTHER.id.hex()} of x, y: met at x in place of the store"
            f" {ALONE.id.hex()} of a, which was empty",
        )

    def test_it_is_not_given_up_if_something_was_kept_of_it(self) -> None:
        node = self.alone()
        node.founders.empty = False
        node.hears("x", founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))
        self.assertFalse(node.says().empty)
        head = blank(ALONE.id, 0, 1)
        node = self.alone(heads=(head,)).hears("x", founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_it_is_not_given_up_for_one_of_another_network(self) -> None:
        node = self.alone().hears("x", founding=replace(OTHER, network="nut"))
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_one_that_has_kept_something_takes_its_place_whoever_says_so(self) -> None:
        for sender in "xz":
            node = self.alone().hears(sender, founding=self.large, empty=False)
            self.check_given_up(node, self.large)

    def test_if_both_are_empty_the_smaller_id_stays(self) -> None:
        store = self.small.founders[0].store
        node = self.alone().hears("x", store=store, founding=self.small)
        self.check_given_up(node, self.small)
        store = self.large.founders[0].store
        node = self.alone().hears("x", store=store, founding=self.large)
        self.assertEqual((node.kept, node.alarms), ([], []))
        self.assertEqual(node.founders.wanted, ("x",))

    def test_if_both_are_empty_the_smaller_id_stays_whoever_says_so(self) -> None:
        self.check_given_up(self.alone().hears("z", founding=self.small), self.small)
        node = self.alone().hears("z", founding=self.large)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))
        self.assertEqual(node.founders.wanted, ("x",))

    def test_it_is_not_given_up_by_a_disk_that_did_not_begin_it(self) -> None:
        node = Node("a", "a", store=2, founding=ALONE).hears("x", founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_who_had_adopted_it_follows_its_founder(self) -> None:
        node = Node("d", "", founding=self.small).hears("z", founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))
        self.assertEqual(node.founders.wanted, ("x",))
        node.effects.clear()
        node.hears("x", store=self.small.founders[0].store, founding=OTHER)
        self.check_given_up(node, OTHER)

    def test_who_had_adopted_it_does_not_follow_another_disk_of_its_founder(self) -> None:
        node = Node("d", "", founding=ALONE).hears("a", store=2, founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))

    def test_who_has_kept_something_of_it_does_not_follow(self) -> None:
        head = blank(ALONE.id, 0, 1)
        node = Node("d", "", founding=ALONE, heads=(head,)).hears("a", founding=OTHER)
        self.assertEqual((node.kept, len(node.alarms)), ([], 1))
        self.assertEqual(node.founders.wanted, ())

    def test_who_had_adopted_it_waits_for_one_that_comes_over(self) -> None:
        store = self.small.founders[0].store
        node = Node("d", "", founding=ALONE).hears("x", store=store, founding=self.small)
        self.assertEqual((node.kept, node.alarms), ([], []))
        self.assertEqual(node.founders.wanted, ("a",))
