"""How an older copy of a disk is found by what others remember of it."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.begin.marks import MOST_MARKS, MOST_ON_DISK, Back, Known, Marks
from chordnet.core.store.node.talk import Lists, read
from tests.unit.store_node_support import FORMATION, FOUNDING, A, B, C, Node, address, encode

SECRET = bytes(range(16))


class Disk:
    """The marks of A's disk in one run."""

    def __init__(self, run: int = 2, number: int = 0, seed: int = 1, me: Member = A) -> None:
        self.lost: set[str] = set()
        kept = Kept(me.store, run, FOUNDING, FOUNDING, secret=SECRET, number=number)
        self.marks = Marks(me, kept, Random(seed), self.lost.__contains__)

    def write(self, times: int = 1) -> Mark:
        """Return the mark after some more writes."""
        for _ in range(times):
            self.marks.wrote()
        return self.marks.mine


class OlderCopyTests(SynchronousTestCase):
    def found(self, disk: Disk, mark: Mark) -> bool:
        disk.marks.on_known("B", mark)
        return bool(disk.marks.outdated)

    def test_a_mark_of_a_later_run_shows_an_older_copy(self) -> None:
        later = Disk(run=5, number=80).write()
        self.assertTrue(self.found(Disk(run=3, number=10), later))

    def test_a_mark_of_another_life_of_the_same_run_shows_an_older_copy(self) -> None:
        original = Disk(run=3, number=10, seed=1).write()
        disk = Disk(run=3, number=10, seed=2)
        self.assertTrue(self.found(disk, original))
        self.assertIn("has seen it in another run 3 with 11 writes", disk.marks.outdated)

    def test_a_mark_of_an_earlier_run_with_more_writes_shows_a_copy_of_a_running_disk(self) -> None:
        original = Disk(run=3, number=10).write(5)
        self.assertTrue(self.found(Disk(run=4, number=14, seed=2), original))
        self.assertFalse(self.found(Disk(run=4, number=15, seed=2), original))

    def test_its_own_mark_and_those_of_what_it_remembers_show_nothing(self) -> None:
        disk = Disk(run=3, number=10)
        for mark in (disk.marks.mine, disk.write(), Disk(run=2, number=5).write(5)):
            self.assertFalse(self.found(disk, mark))

    def test_a_mark_that_the_disk_never_gave_shows_nothing(self) -> None:
        true = Disk(run=9).write()
        for false in (
            replace(true, run=10),
            replace(true, number=500),
            replace(true, life=1),
            replace(true, proof=bytes(12)),
            replace(true, store=99),
            Disk(run=9, me=Member("A", 99)).write(),
        ):
            disk = Disk(run=3)
            disk.marks.on_known("X", false)
            self.assertEqual(disk.marks.outdated, "")

    def test_it_is_told_who_has_seen_what(self) -> None:
        disk = Disk(run=3, number=10)
        disk.marks.on_known("B", Disk(run=5, number=80).write())
        expected = (
            "this disk is an older copy: B has seen it in run 5 with 81 writes, and this is run 3,"
            " which began with 10; it may have forgotten promises"
        )
        self.assertEqual(disk.marks.outdated, expected)
        disk.marks.on_known("C", Disk(run=6, number=90).write())
        self.assertEqual(disk.marks.outdated, expected)

    def test_the_secret_is_kept_with_the_first_write_and_the_number_with_each(self) -> None:
        marks = Marks(A, Kept(1, 1), Random(1), bool)
        first, second = marks.wrote(), marks.wrote()
        self.assertEqual([type(each) for each in first], [fx.NumberKept, fx.SecretKept])
        self.assertEqual(second, [fx.NumberKept(2)])
        assert isinstance(first[1], fx.SecretKept)
        self.assertEqual(len(first[1].secret), 16)


class RememberingTests(SynchronousTestCase):
    def test_the_furthest_mark_of_a_disk_is_remembered_and_told_to_who_is_behind(self) -> None:
        marks = Disk().marks
        far, near = Disk(run=3, me=B).write(9), Disk(run=3, me=B).write(2)
        self.assertEqual(marks.on_mark("B", far, 0.0), ([fx.MarkKept("B", far)], None))
        self.assertEqual(marks.on_mark("B", near, 0.0), ([], None))  # it was overtaken
        self.assertEqual(marks.on_back("B", near, 0.0), ([], far))
        self.assertEqual(marks.on_back("B", far, 0.0), ([], far))
        for behind in (Disk(run=2, number=90, me=B, seed=2), Disk(run=4, me=B, seed=2)):
            self.assertEqual(marks.on_mark("B", behind.write(), 0.0), ([], far))
            self.assertEqual(marks.on_back("B", behind.write(), 0.0), ([], far))

    def test_another_life_of_the_same_run_is_told_of_the_first(self) -> None:
        marks = Disk().marks
        first, second = Disk(run=3, me=B, seed=1).write(), Disk(run=3, me=B, seed=2).write(9)
        marks.on_mark("B", first, 0.0)
        self.assertEqual(marks.on_mark("B", second, 0.0), ([], first))

    def test_a_run_is_kept_on_disk_once_and_further_writes_are_not(self) -> None:
        marks = Disk().marks
        disk = Disk(run=3, me=B)
        kept = [marks.on_mark("B", disk.write(), 0.0)[0] for _ in range(3)]
        self.assertEqual([len(each) for each in kept], [1, 0, 0])
        later = Disk(run=4, number=3, me=B).write()
        self.assertEqual(marks.on_mark("B", later, 20.0)[0], [fx.MarkKept("B", later)])

    def test_another_disk_of_a_node_takes_the_place_of_the_first(self) -> None:
        marks = Disk().marks
        marks.on_mark("B", Disk(run=9, me=B).write(), 0.0)
        other = Disk(run=1, me=Member("B", 99)).write()
        self.assertEqual(marks.on_mark("B", other, 20.0), ([fx.MarkKept("B", other)], None))

    def test_a_node_cannot_have_any_number_of_writes_made_or_any_memory_used(self) -> None:
        marks = Disk().marks
        kept = sum(
            len(marks.on_mark("X", Disk(run, run, me=Member("X", 9)).write(), 0.01 * run)[0])
            for run in range(1, 2001)
        )
        self.assertEqual(kept, 2)
        kept = 0
        for number in range(MOST_MARKS + 10):
            kept += len(marks.on_mark(f"n{number}", Disk().write(), 0.0)[0])
        self.assertEqual(kept, MOST_ON_DISK - 1)
        self.assertEqual(len(marks._marks), MOST_MARKS)


class WaitingTests(SynchronousTestCase):
    """A disk that has run before answers for no slot until the others have been asked."""

    members = (A, B, C)

    def test_a_disk_that_is_used_for_the_first_time_answers_immediately(self) -> None:
        disk = Disk(run=1)
        self.assertTrue(disk.marks.may_answer(self.members, 0.0))
        self.assertEqual(disk.marks.whom_to_ask("ABC", 0.0), [])

    def test_it_waits_for_all_other_members_that_can_be_reached(self) -> None:
        disk = Disk()
        self.assertFalse(disk.marks.may_answer(self.members, 0.0))
        self.assertEqual(disk.marks.whom_to_ask("ABC", 0.0), ["B", "C"])
        disk.marks.on_known("B", disk.marks.mine)
        self.assertFalse(disk.marks.may_answer(self.members, 0.1))
        self.assertEqual(disk.marks.whom_to_ask("ABC", 0.1), ["C"])
        disk.lost.add("C")
        self.assertTrue(disk.marks.may_answer(self.members, 0.1))

    def test_it_waits_a_second_for_one_that_is_silent_and_five_if_all_are(self) -> None:
        for answered, seconds in ((True, 1.0), (False, 5.0)):
            disk = Disk()
            disk.marks.whom_to_ask("ABC", 10.0)
            if answered:
                disk.marks.on_known("B", disk.marks.mine)
            self.assertFalse(disk.marks.may_answer(self.members, 10.0 + seconds - 0.01))
            self.assertTrue(disk.marks.may_answer(self.members, 10.0 + seconds))

    def test_after_five_seconds_nobody_is_asked_any_more(self) -> None:
        disk = Disk()
        disk.marks.whom_to_ask("ABC", 10.0)
        self.assertEqual(disk.marks.whom_to_ask("ABC", 14.9), ["B", "C"])
        self.assertEqual(disk.marks.whom_to_ask("ABC", 15.0), [])
        self.assertTrue(disk.marks.may_answer(self.members, 15.0))

    def test_a_member_without_others_has_nobody_to_wait_for(self) -> None:
        self.assertTrue(Disk().marks.may_answer((A,), 0.0))


class NodeTests(SynchronousTestCase):
    """The same of a whole node."""

    def node(self, run: int = 2, near: tuple[str, ...] = ("B", "C")) -> Node:
        kept = Kept(A.store, run, FOUNDING, FOUNDING, secret=SECRET, number=10)
        return Node(kept=kept, near=near)

    def prepare(self, node: Node, sender: str = "B") -> list[msg.Why]:
        """Have it promise; return why it does not."""
        node.hear(sender, msg.Prepare(address(), 5, b"b", Ballot(1, 9, sender, 1)))
        return [refused.why for _to, refused in node.take(msg.Refused)]

    def test_a_node_that_starts_again_asks_its_fellows_and_answers_when_they_have(self) -> None:
        node = self.node()
        self.assertEqual(sorted(node.to(Back)), ["B", "C"])
        self.assertEqual(self.prepare(node), [msg.Why.RETURNED])
        for name in "BC":
            (mark,) = {node.machine._disks.marks.mine}
            node.hear(name, Known(mark))
        self.assertEqual(self.prepare(node), [])
        self.assertEqual(node.to(msg.Promised), ["B"])

    def test_it_asks_again_those_that_have_not_answered(self) -> None:
        node = self.node()
        node.take(Back)
        node.hear("C", Known(node.machine._disks.marks.mine))
        node.wait(0.35)
        self.assertEqual(node.to(Back), ["B"])
        node.wait(30.0)
        self.assertLess(len(node.to(Back)), 20)
        node.wait(30.0)
        self.assertEqual(node.to(Back), [])

    def test_an_older_copy_says_so_and_takes_no_part_any_more(self) -> None:
        node = self.node()
        node.hear("B", Known(Disk(run=7, number=50).write()))
        self.assertEqual(len(node.outdated), 1)
        self.assertIn("this disk is an older copy: B has seen it in run 7", node.outdated[0])
        node.sent.clear()
        self.assertEqual(self.prepare(node), [])
        node.wait(60.0)
        self.assertEqual((node.sent, node.machine.deadline, len(node.outdated)), ([], None, 1))

    def test_who_remembers_more_of_a_disk_says_so(self) -> None:
        node = Node()
        far, near = Disk(run=3, me=B).write(9), Disk(run=2, me=B).write(2)
        node.hear("B", far)
        self.assertEqual(node.take(Known), [])
        node.hear("B", near)
        self.assertEqual(node.take(Known), [("B", Known(far))])
        node.hear("B", Back(near))
        self.assertEqual(node.take(Known), [("B", Known(far))])
        node.hear("C", Back(near))
        self.assertEqual(node.take(Known), [("C", Known(near))])

    def test_letters_that_rest_on_a_write_are_marked_with_its_number(self) -> None:
        node = Node()
        node.marks.clear()
        self.assertEqual(self.prepare(node), [])
        ((to, mark),) = node.marks
        assert isinstance(mark, Mark)
        self.assertEqual((to, mark.number), ("B", 1))
        kept = [each for each in node.order if isinstance(each, fx.Keep)]
        self.assertIn(fx.NumberKept(1), kept[-1].entries)
        node.marks.clear()
        node.hear("B", msg.Read(address(), 6, b"b"))
        self.assertEqual(node.marks, [])

    def test_a_mark_that_no_honest_node_sends_is_not_read(self) -> None:
        good = Disk().write()
        for mark in (replace(good, proof=b"short"), replace(good, run=-1)):
            for message in (mark, Back(mark), Known(mark)):
                self.assertRaises(ValueError, read, encode([message]))
        self.assertEqual(read(encode([Back(good)])), [Back(good)])
        self.assertEqual(read(encode([Lists(FORMATION, ())])), [Lists(FORMATION, ())])
