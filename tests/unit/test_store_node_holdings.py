"""The slots that a disk holds: what it finds there at the start, and how others get there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head, Member, Vote
from chordnet.core.store.base.effects import AllDropped, HeadKept, Keep, RecordKept, Say
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.records import EMPTY, GROUND, Applied, Content, Record
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.holdings import Holdings
from chordnet.core.store.node.surroundings import For
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    START,
    WALL,
    A,
    B,
    C,
    D,
    address,
    later,
    surroundings,
)

BALLOT = Ballot(1, 1, "B", 1)
HIGHER = Ballot(1, 2, "B", 1)
CONTENT = Content(b"value", 1, None, (Applied(1, b"r"),))
RECORD = Record(BALLOT, BALLOT, CONTENT)
SECOND = later(2, A, B, D)
THIRD = later(3, A, C, D)
UNSURE = Listed(0, SECOND, serves=False, before=FIRST)


class Disk:
    """The disk of a node, and all that is said of it."""

    def __init__(
        self, me: Member = A, kept: Kept | None = None, founding: Founding = FOUNDING
    ) -> None:
        self.around = surroundings(me, "B", "C")
        self.holdings = Holdings(self.around, founding, kept)
        self.known = Listed(0, FIRST)

    def take(self, request: msg.Request, sender: str = "X") -> list[tuple[str, msg.StoreMessage]]:
        if isinstance(request, msg.Chosen):
            self.holdings.chosen(sender, request)
        else:
            self.holdings.take(sender, request, self.known)
        return self.said()

    def said(self) -> list[tuple[str, msg.StoreMessage]]:
        """Return what is said, to this node as well."""
        effects = [*self.around.effects]
        self.around.effects.clear()
        found = [(each.to, each.message) for each in effects if isinstance(each, Say)]
        for node, messages in self.around.said.items():
            found += [(node, message) for message in messages]  # type: ignore[misc]
        self.around.said.clear()
        return found

    def kinds(self, said: list[tuple[str, msg.StoreMessage]]) -> list[tuple[str, type]]:
        return [(to, type(message)) for to, message in said]

    def kept(self) -> list[object]:
        entries: list[object] = []
        for each in self.around.effects:
            if isinstance(each, Keep):
                entries += each.entries
        return entries

    def head(self, slot: int = 0) -> Head:
        return self.holdings.slots[slot].registers.head

    @property
    def rings(self) -> float | None:
        """In how many seconds slot 0 is to be installed; None if it is not."""
        at = self.around.alarms.next()
        assert at is None or self.around.alarms.is_set((For.INSTALL, 0))
        return None if at is None else round(at - self.around.now, 9)

    def rung(self) -> None:
        """Let the alarm ring."""
        at = self.around.alarms.next()
        assert at is not None
        self.around.now = at
        self.around.alarms.due(at)

    def page(
        self, member: Member, rid: int, *keys: bytes, epoch: int = 1, more: bool = False,
        after: bytes | None = None,
    ) -> None:  # fmt: skip
        records = tuple((key, RECORD) for key in keys)
        to = address(member, epoch=epoch)
        answer = msg.Snapshot(to, rid, after, records, GROUND, more)
        self.holdings.snapshot(member.node, answer)


def chosen(rid: int = 7, new: Configuration = SECOND, old: Configuration = FIRST) -> msg.Chosen:
    return msg.Chosen(address(epoch=new.epoch), rid, old, new)


class StartTests(SynchronousTestCase):
    def test_a_founder_holds_the_slots_of_its_first_configuration_without_a_word_on_disk(
        self,
    ) -> None:
        disk = Disk()
        self.assertEqual(sorted(disk.holdings.slots), [0, 1, 2, 3])
        self.assertEqual(disk.head(3), Head(FORMATION, 3, FIRST))
        self.assertEqual(len(list(disk.holdings.served)), 4)
        self.assertEqual(disk.around.effects, [])
        four = Founding("net", 8, 4, 1, (A, B, C))
        some = Disk(founding=four).holdings.slots
        others = [*Disk(B, founding=four).holdings.slots, *Disk(C, founding=four).holdings.slots]
        self.assertEqual(sorted([*some, *others]), [0, 1, 2, 3])
        self.assertNotEqual(sorted(some), [0, 1, 2, 3])

    def test_who_is_no_founder_holds_nothing_at_first(self) -> None:
        for me in (D, Member("A", 99)):
            self.assertEqual(Disk(me).holdings.slots, {})

    def test_what_is_on_disk_is_there_at_the_start(self) -> None:
        head = Head(FORMATION, 2, THIRD, promised=HIGHER)
        kept = Kept(1, 2, None, FOUNDING, (head,), ((2, b"k", RECORD), (1, b"b", RECORD)))
        disk = Disk(kept=kept)
        self.assertEqual(disk.head(2), head)
        self.assertEqual(disk.head(1), Head(FORMATION, 1, FIRST))
        records = {slot: held.registers.records for slot, held in disk.holdings.slots.items()}
        self.assertEqual(records, {0: {}, 1: {b"b": RECORD}, 2: {b"k": RECORD}, 3: {}})

    def test_heads_of_a_formation_that_was_left_are_not_held(self) -> None:
        head = Head(bytes(16), 2, THIRD)
        disk = Disk(kept=Kept(1, 2, None, FOUNDING, (head,), ()))
        self.assertEqual(disk.head(2), Head(FORMATION, 2, FIRST))

    def test_a_disk_serves_the_slots_that_name_it_and_are_not_emptied(self) -> None:
        heads = (
            Head(FORMATION, 0, later(2, B, C)),
            Head(FORMATION, 1, FIRST, sealed=True, emptied=True),
            Head(FORMATION, 2, FIRST, sealed=True),
        )
        disk = Disk(kept=Kept(1, 2, None, FOUNDING, heads, ()))
        served = [held.registers.head.slot for held in disk.holdings.served]
        self.assertEqual(sorted(served), [2, 3])

    def test_members_tell_the_time_of_their_wall_clock(self) -> None:
        ((_to, promised),) = Disk().take(msg.Prepare(address(), 1, b"k", BALLOT), "B")
        assert isinstance(promised, msg.Promised)
        self.assertEqual(promised.wall, START + WALL)


class RequestTests(SynchronousTestCase):
    def test_each_request_is_answered_by_the_slot_that_it_names(self) -> None:
        disk = Disk()
        slot = disk.holdings.slots[0].registers
        for request, answer in (
            (msg.Prepare(address(), 1, b"k", BALLOT), msg.Promised),
            (msg.Accept(address(), 1, b"k", BALLOT, CONTENT), msg.Accepted),
            (msg.Read(address(), 1, b"k"), msg.Told),
            (msg.PrepareChange(address(), 1, BALLOT), msg.ChangePromised),
            (msg.AcceptChange(address(), 1, BALLOT, (A, B, D)), msg.ChangeAccepted),
            (msg.Fetch(address(), 1, 2), msg.Snapshot),
        ):
            self.assertEqual(disk.kinds(disk.take(request, "B")), [("B", answer)])
        self.assertEqual(slot.head.vote, Vote(BALLOT, (A, B, D)))
        self.assertEqual(disk.head(1), Head(FORMATION, 1, FIRST))

    def test_what_concerns_keys_is_done_for_every_node(self) -> None:
        disk, own = Disk(), Ballot(1, 1, "X", 1)
        for request, answer in (
            (msg.Prepare(address(), 1, b"k", own), msg.Promised),
            (msg.Accept(address(), 1, b"k", own, CONTENT), msg.Accepted),
            (msg.Read(address(), 1, b"k"), msg.Told),
        ):
            self.assertEqual(disk.kinds(disk.take(request, "X")), [("X", answer)])

    def test_only_members_use_ballots_of_others_to_give_each_other_records(self) -> None:
        for request, answer in (
            (msg.Prepare(address(), 1, b"k", BALLOT), msg.Promised),
            (msg.Accept(address(), 1, b"k", BALLOT, CONTENT), msg.Accepted),
        ):
            for sender, kind in (("X", msg.Refused), ("B", answer), ("C", answer)):
                disk = Disk()
                self.assertEqual(disk.kinds(disk.take(request, sender)), [(sender, kind)])

    def test_the_members_of_a_slot_are_changed_by_its_members_alone(self) -> None:
        for request in (
            msg.PrepareChange(address(), 1, BALLOT),
            msg.AcceptChange(address(), 1, BALLOT, (A, B, D)),
        ):
            for sender, refused in (("X", True), ("D", True), ("B", False), ("A", False)):
                disk = Disk()
                before = disk.head()
                said = disk.take(request, sender)
                kept = disk.head() == before
                why = [m.why for _to, m in said if isinstance(m, msg.Refused)]
                self.assertEqual((kept, why == [Why.STRANGER]), (refused, refused), sender)

    def test_who_asks_in_another_epoch_is_told_of_this_one_whoever_it_is(self) -> None:
        disk = Disk()
        for epoch, why in ((0, Why.MOVED), (2, Why.NOT_INSTALLED)):
            ((_to, said),) = disk.take(msg.PrepareChange(address(epoch=epoch), 1, BALLOT))
            assert isinstance(said, msg.Refused)
            self.assertEqual(said.why, why)

    def test_a_state_is_given_to_members_and_to_those_that_are_about_to_be(self) -> None:
        fetch = msg.Fetch(address(), 1, 2)
        voted = msg.AcceptChange(address(), 1, BALLOT, (A, B, D))
        for sender, kind in (("B", msg.Snapshot), ("D", msg.Snapshot), ("X", msg.Refused)):
            disk = Disk()
            disk.take(voted, "B")
            self.assertEqual(disk.kinds(disk.take(fetch, sender)), [(sender, kind)])
        for known in (UNSURE, Listed(0, later(3, D), serves=False, before=later(2, D, C))):
            disk = Disk()
            disk.take(msg.AcceptChange(address(), 1, BALLOT, (A, B)), "B")
            self.assertEqual(disk.kinds(disk.take(fetch, "D")), [("D", msg.Refused)])
            disk.known = known
            self.assertEqual(disk.kinds(disk.take(fetch, "D")), [("D", msg.Snapshot)])
        disk = Disk()
        disk.holdings.learned(UNSURE)
        self.assertEqual(disk.kinds(disk.take(fetch, "D")), [("D", msg.Snapshot)])

    def test_of_a_slot_that_it_does_not_hold_a_node_says_what_it_knows(self) -> None:
        disk = Disk(D)
        disk.known = UNSURE
        request = msg.Read(address(D), 5, b"k")
        self.assertEqual(
            disk.take(request),
            [("X", msg.Refused(address(D), 5, Why.SLOT, FORMATION, D.store, SECOND, sealed=False))],
        )
        request = msg.Read(address(A), 5, b"k")
        self.assertEqual(
            disk.take(request),
            [
                (
                    "X",
                    msg.Refused(address(A), 5, Why.STORE, FORMATION, D.store, SECOND, sealed=False),
                )
            ],
        )

    def test_a_node_refuses_itself_without_a_letter(self) -> None:
        disk = Disk(D)
        disk.holdings.take("D", msg.Read(address(D), 5, b"k"), disk.known)
        self.assertEqual(disk.around.said, {})
        ((to, refused),) = disk.said()
        self.assertEqual((to, type(refused)), ("D", msg.Refused))


class InstallTests(SynchronousTestCase):
    def test_a_member_fetches_the_state_of_a_chosen_configuration_and_installs_it(self) -> None:
        disk = Disk()
        said = disk.take(chosen(), "L")
        self.assertEqual(
            disk.kinds(said), [(name, msg.Fetch) for name in ("A", "B", "C", "B", "D")]
        )
        self.assertEqual(disk.rings, 1.0)
        disk.page(A, 7, b"one")
        disk.page(B, 7, b"two")
        self.assertIn(RecordKept(0, b"two", RECORD), disk.kept())
        self.assertEqual(disk.kinds(disk.said()), [("L", msg.Installed)])
        self.assertEqual(disk.head().configuration, SECOND)

    def test_a_new_member_begins_with_nothing_of_the_slot(self) -> None:
        disk = Disk(D)
        told = msg.Chosen(address(D, epoch=2), 7, FIRST, SECOND)
        disk.take(told, "L")
        self.assertEqual(disk.head().configuration, Configuration(1, 0, ()))
        disk.page(B, 7, b"k", epoch=2)
        self.assertEqual(disk.head(), Head(FORMATION, 0, SECOND))
        self.assertEqual([held.serves for held in disk.holdings.slots.values()], [True])

    def test_nothing_is_installed_that_does_not_name_this_disk_or_its_formation(self) -> None:
        disk = Disk(D)
        foreign = Address(bytes(16), 0, 1, 2, D.store)
        for told in (
            msg.Chosen(address(D, epoch=2), 7, FIRST, later(2, A, B, C)),
            msg.Chosen(address(D, epoch=2), 7, FIRST, later(2, A, B, Member("D", 99))),
            msg.Chosen(foreign, 7, FIRST, SECOND),
        ):
            self.assertEqual(disk.take(told), [])
        self.assertEqual(disk.holdings.slots, {})

    def test_an_installation_of_which_nothing_arrives_asks_again_after_a_second_and_then_later(
        self,
    ) -> None:
        disk = Disk()
        asked = disk.take(chosen(), "L")
        self.assertEqual(disk.rings, 1.0)
        for pause in (2.0, 4.0, 8.0, 8.0):
            disk.rung()
            disk.holdings.install(UNSURE)
            self.assertEqual(disk.said(), asked)
            self.assertEqual(disk.rings, pause)
        disk.page(A, 7)
        self.assertEqual(disk.rings, 1.0)
        disk.page(B, 7)
        self.assertEqual(disk.head().configuration, SECOND)

    def test_a_member_that_only_hears_that_the_next_epoch_serves_asks_its_own_fellows_as_well(
        self,
    ) -> None:
        disk = Disk()
        disk.holdings.install(Listed(0, SECOND))
        self.assertEqual(
            disk.kinds(disk.said()), [(name, msg.Fetch) for name in ("A", "B", "C", "B", "D")]
        )

    def test_who_has_an_older_epoch_or_none_asks_the_members_of_the_new_one_alone(self) -> None:
        for disk in (Disk(D), Disk()):
            disk.holdings.install(Listed(0, later(3, A, C, D)))
            others = [name for name in "ACD" if name != disk.around.me.node]
            asked = {name for name, _kind in disk.kinds(disk.said())}
            self.assertLessEqual(set(others), asked)
            self.assertNotIn("B", asked)

    def test_an_installation_goes_on_as_long_as_pages_arrive(self) -> None:
        disk = Disk()
        disk.take(chosen(), "L")
        disk.around.now += 0.9
        disk.page(A, 7, b"a", more=True)
        self.assertEqual(disk.rings, 1.0)
        disk.around.now += 0.9
        disk.page(A, 7, b"a", more=True)  # it has been here already
        self.assertEqual(disk.rings, 0.1)
        disk.page(B, 7, b"a")
        self.assertEqual(disk.rings, 1.0)
        disk.said()
        # Its leader tells of it again meanwhile, and others do.
        self.assertEqual(disk.take(chosen(), "L"), [])
        disk.holdings.learned(UNSURE)
        self.assertEqual(disk.rings, 1.0)
        disk.page(A, 7, b"b", after=b"a")
        self.assertEqual(disk.kinds(disk.said()), [("L", msg.Installed)])
        self.assertEqual(sorted(disk.holdings.slots[0].registers.records), [b"a", b"b"])

    def test_another_leader_is_told_of_an_installation_as_well(self) -> None:
        for sender, rid in (("M", 7), ("L", 8)):
            disk = Disk()
            disk.take(chosen(), "L")
            self.assertEqual(len(disk.take(chosen(rid), sender)), 5)
            disk.page(A, rid)
            disk.page(B, rid)
            self.assertEqual(disk.said(), [(sender, msg.Installed(address(epoch=2), rid))])

    def test_who_has_installed_it_says_so_again(self) -> None:
        disk = Disk(kept=Kept(1, 1, None, FOUNDING, (Head(FORMATION, 0, SECOND),), ()))
        said = disk.take(chosen(), "L")
        self.assertEqual(said, [("L", msg.Installed(address(epoch=2), 7))])
        self.assertIsNone(disk.rings)

    def test_pages_of_a_slot_that_is_not_held_are_let_go(self) -> None:
        disk = Disk(D)
        disk.page(A, 7)
        self.assertEqual(disk.holdings.slots, {})

    def test_pages_that_nobody_waits_for_start_no_alarm(self) -> None:
        disk = Disk()
        disk.page(A, 7)
        self.assertIsNone(disk.rings)


class LearnedTests(SynchronousTestCase):
    def test_who_hears_by_the_way_that_it_is_a_member_waits_a_moment_for_the_leader(self) -> None:
        for me in (A, D):
            disk = Disk(me)
            disk.holdings.learned(UNSURE)
            self.assertEqual(disk.rings, 0.3)
            self.assertEqual(disk.said(), [])

    def test_a_member_is_sealed_by_what_it_hears(self) -> None:
        disk = Disk()
        disk.holdings.learned(UNSURE)
        self.assertEqual((disk.head().sealed, disk.head().newest), (True, SECOND))

    def test_a_member_that_hears_of_it_fetches_the_state_from_old_and_new_members(self) -> None:
        disk = Disk(D)
        disk.holdings.install(UNSURE)
        said = disk.said()
        self.assertEqual([to for to, _message in said], ["A", "B", "C", "A", "B"])
        self.assertEqual([message.address.epoch for _to, message in said], [1, 1, 1, 2, 2])
        self.assertEqual(disk.rings, 1.0)
        disk = Disk(D)
        disk.holdings.install(Listed(0, SECOND))
        self.assertEqual(
            [(to, message.address.epoch) for to, message in disk.said()],
            [("A", 2), ("B", 2), ("D", 2), ("A", 2), ("B", 2), ("D", 2)],
        )

    def test_there_is_nothing_to_install_for_who_has_it_or_is_no_member(self) -> None:
        has = Disk(kept=Kept(1, 1, None, FOUNDING, (Head(FORMATION, 0, SECOND),), ()))
        other = Disk(Member("E", 5))
        ahead = Disk(kept=Kept(1, 1, None, FOUNDING, (Head(FORMATION, 0, THIRD),), ()))
        for disk in (has, other, ahead):
            disk.holdings.learned(UNSURE)
            self.assertIsNone(disk.rings)
            disk.holdings.install(UNSURE)
            self.assertEqual((disk.said(), disk.rings), ([], None))

    def test_while_one_configuration_is_installed_a_later_one_is_not_forgotten(self) -> None:
        disk = Disk()
        disk.take(chosen(), "L")
        disk.holdings.learned(Listed(0, THIRD))
        self.assertEqual(disk.rings, 0.3)
        disk.page(A, 7)
        disk.page(B, 7)
        self.assertEqual(disk.head().configuration, SECOND)
        self.assertEqual(disk.rings, 1.0)
        disk.said()
        disk.holdings.install(Listed(0, THIRD))
        asked = [name for name, kind in disk.kinds(disk.said()) if kind is msg.Fetch]
        self.assertEqual(asked, ["A", "B", "D", "C", "D"])

    def test_who_is_no_member_any_more_drops_its_records_once_the_others_have_them(self) -> None:
        without = later(2, B, C, D)
        disk = Disk()
        disk.take(msg.Accept(address(), 1, b"k", BALLOT, CONTENT), "B")
        disk.holdings.learned(Listed(0, without, serves=False, before=FIRST))
        self.assertFalse(disk.head().emptied)
        self.assertEqual(len(disk.holdings.slots[0].registers.records), 1)
        disk.around.effects.clear()
        disk.holdings.learned(Listed(0, without))
        self.assertTrue(disk.head().emptied)
        self.assertEqual(disk.kept(), [HeadKept(disk.head()), AllDropped(0)])
        self.assertIsNone(disk.rings)

    def test_that_a_majority_has_installed_an_epoch_is_kept_where_it_is_installed(self) -> None:
        disk = Disk()
        disk.holdings.learned(Listed(0, FIRST))
        disk.holdings.settle(Listed(0, SECOND))
        self.assertEqual(disk.kept(), [])
        disk.holdings.slots[0].registers.install(SECOND, (), GROUND)
        disk.around.effects.clear()
        disk.holdings.settle(UNSURE)
        self.assertEqual(disk.kept(), [])
        for _ in range(2):
            disk.holdings.settle(Listed(0, SECOND))
        self.assertEqual(disk.kept(), [HeadKept(Head(FORMATION, 0, SECOND, settled=True))])

    def test_an_epoch_that_was_just_installed_is_not_known_to_serve(self) -> None:
        disk = Disk()
        disk.holdings.slots[0].registers.install(SECOND, (), GROUND)
        disk.holdings.settle(Listed(0, SECOND))
        disk.holdings.slots[0].registers.install(THIRD, (), GROUND)
        self.assertFalse(disk.head().settled)

    def test_who_stays_a_member_drops_nothing(self) -> None:
        disk = Disk()
        disk.take(msg.Accept(address(), 1, b"k", BALLOT, CONTENT), "B")
        disk.holdings.learned(Listed(0, SECOND))
        self.assertFalse(disk.head().emptied)
        self.assertEqual(list(disk.holdings.slots[0].registers.records), [b"k"])

    def test_nothing_is_accepted_where_nothing_was_written(self) -> None:
        ((_to, told),) = Disk().take(msg.Read(address(), 1, b"k"))
        self.assertEqual(told, msg.Told(address(), 1, NONE, EMPTY))
