"""Repair: the members of a slot compare what they have, and give each other what is missing."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.records import EMPTY, Applied, Content, Record
from chordnet.core.store.node.holdings import Holdings
from chordnet.core.store.node.repair import Repair, digest_of
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.node.talk import Message, Missing, Stock, Sum, letters
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    A,
    B,
    C,
    D,
    address,
    later,
    surroundings,
)

CONTENT = Content(b"value", 1, None, (Applied(1, b"r"),))


def record(counter: int, epoch: int = 1) -> Record:
    accepted = Ballot(epoch, counter, "B", 1)
    return Record(accepted, accepted, CONTENT)


def ballot(counter: int, epoch: int = 1) -> Ballot:
    return Ballot(epoch, counter, "B", 1)


def keys(many: int, first: int = 0) -> list[bytes]:
    return [b"%04d" % number for number in range(first, first + many)]


PROMISED = Record(ballot(5), NONE, EMPTY)


class Repairer:
    """The repair of one disk, with records in slot 0."""

    def __init__(
        self,
        records: dict[bytes, Record] | None = None,
        heads: tuple[Head, ...] = (),
        founding: Founding = FOUNDING,
    ) -> None:
        self.around = surroundings(A, "B", "C")
        kept = tuple((0, key, each) for key, each in (records or {}).items())
        self.holdings = Holdings(self.around, founding, Kept(1, 1, None, founding, heads, kept))
        self.written: list[tuple[bytes, Ballot]] = []
        self.repair = Repair(self.around, founding.id, self.holdings, self._write_again)

    def _write_again(self, key: bytes, above: Ballot) -> None:
        self.written.append((key, above))

    def said(self) -> list[tuple[str, Message]]:
        found = [(node, message) for node, each in self.around.said.items() for message in each]
        self.around.said.clear()
        return found

    def rings(self) -> float:
        at = self.around.alarms.next()
        assert at is not None
        assert self.around.alarms.due(at) == [(For.REPAIR, 0)]
        return round(at - self.around.now, 9)

    def step(self) -> list[tuple[str, Message]]:
        self.repair.step()
        return self.said()

    def sums(self, digest: int, sender: str = "B", **where: int) -> list[tuple[str, Message]]:
        self.repair.on_sum(sender, Sum(FORMATION, address(A, **where), digest))
        return self.said()

    def stock(
        self,
        theirs: dict[bytes, Ballot],
        after: bytes | None = None,
        more: bool = False,
        sender: Member = B,
        **where: int,
    ) -> list[tuple[str, Message]]:
        listed = Stock(
            FORMATION, address(A, **where), sender.store, after, tuple(theirs.items()), more
        )
        self.repair.on_stock(sender.node, listed)
        return self.said()

    def missing(
        self, *wanted: bytes, after: bytes | None = None, sender: str = "B", **where: int
    ) -> list[tuple[str, Message]]:
        self.repair.on_missing(sender, Missing(FORMATION, address(A, **where), wanted, after))
        return self.said()

    @property
    def digest(self) -> int:
        return digest_of(self.holdings.slots[0].registers)


def accept(key: bytes, counter: int, member: Member = B) -> tuple[str, Message]:
    return member.node, msg.Accept(address(member), 0, key, ballot(counter), CONTENT)


class RoundTests(SynchronousTestCase):
    def test_the_first_round_begins_a_second_after_the_start(self) -> None:
        repairer = Repairer()
        repairer.repair.start()
        self.assertEqual(repairer.rings(), 1.0)

    def test_each_slot_is_compared_with_another_member_and_all_of_them_again_after_a_minute(
        self,
    ) -> None:
        repairer = Repairer({b"k": record(1)})
        for _ in range(2):
            slots = []
            for pause in (0.1, 0.1, 0.1, 60.0):
                ((to, message),) = repairer.step()
                assert isinstance(message, Sum)
                slot, store = message.address.slot, message.address.store
                self.assertIn((to, store), (("B", B.store), ("C", C.store)))
                self.assertEqual((message.formation, message.address.epoch), (FORMATION, 1))
                self.assertEqual(message.digest, repairer.digest if slot == 0 else 0)
                slots.append(slot)
                self.assertEqual(repairer.rings(), pause)
            self.assertEqual(sorted(slots), [0, 1, 2, 3])
        self.assertNotEqual(repairer.digest, 0)

    def test_the_order_of_the_slots_is_drawn_anew(self) -> None:
        repairer = Repairer(founding=Founding("net", 8, 32, 3, (A, B, C)))
        slots = []
        for _ in range(32):
            ((_to, message),) = repairer.step()
            assert isinstance(message, Sum)
            slots.append(message.address.slot)
        self.assertNotIn(slots, (list(range(32)), list(range(31, -1, -1))))

    def test_slots_without_another_member_to_compare_with_are_passed_over(self) -> None:
        heads = (
            Head(FORMATION, 0, later(2, A)),
            Head(FORMATION, 1, FIRST, sealed=True),
            Head(FORMATION, 2, later(2, B, C)),
        )
        repairer = Repairer(heads=heads)
        ((_to, message),) = repairer.step()
        assert isinstance(message, Sum)
        self.assertEqual(message.address.slot, 3)
        repairer.around.lose("B")
        repairer.around.lose("C")
        repairer.around.now += 1.0
        for _ in range(4):
            self.assertEqual(repairer.step(), [])

    def test_a_member_that_is_lost_is_not_asked(self) -> None:
        for lost, other in (("B", "C"), ("C", "B")):
            repairer = Repairer()
            repairer.around.lose(lost)
            repairer.around.now += 1.0
            for _ in range(4):
                self.assertEqual([to for to, _message in repairer.step()], [other])

    def test_a_node_that_holds_nothing_looks_again_after_a_minute(self) -> None:
        repairer = Repairer()
        repairer.holdings.slots.clear()
        self.assertEqual(repairer.step(), [])
        self.assertEqual(repairer.rings(), 60.0)


class DigestTests(SynchronousTestCase):
    def test_a_digest_is_of_keys_and_ballots_in_any_order_and_not_of_promises(self) -> None:
        first = Repairer({b"a": record(1), b"b": record(2)}).digest
        self.assertEqual(Repairer({b"b": record(2), b"a": record(1)}).digest, first)
        self.assertEqual(Repairer({b"b": record(2), b"a": record(1), b"c": PROMISED}).digest, first)
        for other in (
            {b"a": record(1)},
            {b"a": record(1), b"b": record(3)},
            {b"a": record(1), b"c": record(2)},
        ):
            self.assertNotEqual(Repairer(other).digest, first)
        self.assertEqual(Repairer({b"c": PROMISED}).digest, 0)

    def test_digests_are_the_same_in_every_release_and_have_56_bits(self) -> None:
        self.assertEqual(Repairer({b"a": record(1)}).digest, 15343597547365324)
        many = {key: record(1) for key in keys(1000)}
        self.assertEqual(Repairer(many).digest, 26377471037703951)

    def test_whoever_has_the_same_says_nothing(self) -> None:
        repairer = Repairer({b"k": record(1)})
        self.assertEqual(repairer.sums(repairer.digest), [])

    def test_whoever_has_something_else_lists_its_keys_and_ballots(self) -> None:
        repairer = Repairer({b"b": record(2), b"a": record(1)})
        listed = ((b"a", ballot(1)), (b"b", ballot(2)))
        self.assertEqual(
            repairer.sums(5),
            [("B", Stock(FORMATION, address(B), A.store, None, listed, more=False))],
        )

    def test_what_was_written_meanwhile_counts(self) -> None:
        repairer = Repairer({b"k": record(1)})
        before = repairer.digest
        self.assertEqual(repairer.sums(before), [])
        repairer.holdings.slots[0].registers.on_accept(
            "B", msg.Accept(address(), 1, b"k", ballot(2), CONTENT)
        )
        self.assertEqual(len(repairer.sums(before)), 1)
        self.assertEqual(repairer.sums(repairer.digest), [])

    def test_questions_about_another_epoch_disk_or_slot_are_not_answered(self) -> None:
        repairer = Repairer({b"k": record(1)})
        self.assertEqual(repairer.sums(5, epoch=2), [])
        self.assertEqual(repairer.sums(5, slot=9), [])
        for where in (
            address(Member("A", 99)),
            msg.Address(bytes(16), 0, 1, 1, 1),
            msg.Address(FORMATION, 0, 2, 1, 1),
        ):
            repairer.repair.on_sum("B", Sum(FORMATION, where, 5))
            self.assertEqual(repairer.said(), [])
        self.assertEqual(repairer.sums(5, sender="Z"), [])

    def test_a_sealed_or_emptied_member_says_nothing(self) -> None:
        for head in (
            Head(FORMATION, 0, FIRST, sealed=True),
            Head(FORMATION, 0, FIRST, emptied=True),
        ):
            repairer = Repairer({b"k": record(1)}, (head,))
            self.assertEqual(repairer.sums(5), [])
            self.assertEqual(repairer.stock({b"other": ballot(1)}), [])
            self.assertEqual(repairer.missing(b"k"), [])

    def test_256_keys_are_listed_at_once(self) -> None:
        for many, more in ((256, False), (257, True)):
            repairer = Repairer({key: record(1) for key in keys(many)})
            ((_to, listed),) = repairer.sums(5)
            assert isinstance(listed, Stock)
            self.assertEqual([key for key, _accepted in listed.accepted], keys(256))
            self.assertEqual(listed.more, more)


class GivenTests(SynchronousTestCase):
    def test_of_long_keys_as_many_are_listed_as_go_into_64_kib_and_the_rest_afterwards(
        self,
    ) -> None:
        long = [key * 256 for key in keys(256)]
        repairer = Repairer(dict.fromkeys(long, record(1)))
        listed: list[bytes] = []
        said = repairer.sums(0)
        while said:
            ((_to, message),) = said
            assert isinstance(message, Stock)
            for each in (message, Missing(FORMATION, address(), tuple(dict(message.accepted)))):
                (letter,) = letters([each])
                self.assertLess(len(letter), 66_700)  # with the key that it begins after
            listed += dict(message.accepted)
            said = repairer.missing(after=listed[-1]) if message.more else []
        self.assertEqual(listed, long)

    def test_a_member_is_given_what_it_lacks_or_has_in_an_older_state(self) -> None:
        mine = {b"a": record(1), b"b": record(2), b"c": record(3), b"d": PROMISED}
        repairer = Repairer(mine)
        said = repairer.stock({b"b": ballot(1), b"c": ballot(3)})
        self.assertEqual(said, [accept(b"a", 1), accept(b"b", 2)])
        self.assertEqual(repairer.repair.given, 2)

    def test_what_is_lacking_here_or_is_older_here_is_asked_for(self) -> None:
        repairer = Repairer({b"a": record(1), b"b": record(2)})
        said = repairer.stock({b"a": ballot(2), b"b": ballot(2), b"c": ballot(1)})
        self.assertEqual(said, [("B", Missing(FORMATION, address(B), (b"a", b"c")))])

    def test_where_a_list_goes_on_only_its_own_part_is_compared_and_the_rest_asked_for(
        self,
    ) -> None:
        repairer = Repairer({key: record(1) for key in keys(5)})
        theirs = {b"0001": ballot(1), b"0003": ballot(1)}
        rest = ("B", Missing(FORMATION, address(B), (), b"0003"))
        self.assertEqual(repairer.stock(theirs, b"0000", more=True), [accept(b"0002", 1), rest])
        self.assertEqual(repairer.stock(theirs, b"0000"), [accept(b"0002", 1), accept(b"0004", 1)])
        self.assertEqual(
            repairer.stock(theirs, more=True),
            [accept(b"0000", 1), accept(b"0002", 1), rest],
        )
        del theirs[b"0003"]
        self.assertEqual(
            repairer.stock({**theirs, b"0004": NONE}, b"0002", more=True),
            [
                accept(b"0003", 1),
                accept(b"0004", 1),
                ("B", Missing(FORMATION, address(B), (), b"0004")),
            ],
        )
        self.assertEqual(len(repairer.stock({}, b"0002", more=True)), 2)

    def test_64_records_are_given_at_once(self) -> None:
        repairer = Repairer({key: record(1) for key in keys(70)})
        self.assertEqual(repairer.stock({}), [accept(key, 1) for key in keys(64)])
        self.assertEqual(repairer.missing(*keys(70)), [accept(key, 1) for key in keys(64)])

    def test_of_large_values_so_many_are_given_as_are_2_mib_and_one_in_any_case(self) -> None:
        for size, many in ((1_048_576, 2), (1_000_000, 2), (699_050, 3), (3_000_000, 1)):
            large = msgspec.structs.replace(CONTENT, value=bytes(size))
            mine = {key: msgspec.structs.replace(record(1), content=large) for key in keys(5)}
            for said in (Repairer(mine).stock({}), Repairer(mine).missing(*keys(5))):
                self.assertEqual([message.key for _to, message in said], keys(many), size)
        read = {
            key: msgspec.structs.replace(each, promised=ballot(9)) for key, each in mine.items()
        }
        repairer = Repairer(
            {
                key: msgspec.structs.replace(each, accepted=ballot(1, 0))
                for key, each in read.items()
            }
        )
        repairer.missing(*keys(5))
        self.assertEqual(repairer.written, [(keys(1)[0], NONE)], "that brings a value as well")

    def test_two_members_are_compared_again_soon_while_that_brings_them_closer(self) -> None:
        repairer = Repairer({key: record(1) for key in keys(70)})
        repairer.stock({})
        self.assertEqual(repairer.rings(), 0.25)
        ((_to, message),) = repairer.step()
        self.assertEqual(message.address.slot, 0)
        self.assertEqual(repairer.rings(), 60.0)
        repairer.stock(dict.fromkeys(keys(64), ballot(1)))
        self.assertEqual(repairer.rings(), 0.25)
        repairer.step()
        self.assertEqual(repairer.rings(), 60.0)
        repairer.stock(dict.fromkeys(keys(70), ballot(1)))
        self.assertIsNone(repairer.around.alarms.next(), "both have the same")

    def test_without_success_they_are_compared_six_times_more_with_pauses_that_double(self) -> None:
        repairer = Repairer({key: record(1) for key in keys(70)})
        pauses = list[float | None]()
        for _time in range(8):
            repairer.stock({})
            pauses.append(repairer.rings() if repairer.around.alarms.next() else None)
            repairer.step()
            repairer.rings()
        self.assertEqual(pauses, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, None])

    def test_success_counts_whatever_was_in_vain_before(self) -> None:
        repairer = Repairer({key: record(1) for key in keys(70)})
        for lacking in (70, 70, 70):
            repairer.stock(dict.fromkeys(keys(70 - lacking), ballot(1)))
            repairer.rings()
            repairer.step()
            repairer.rings()
        repairer.stock(dict.fromkeys(keys(64), ballot(1)))
        self.assertEqual(repairer.rings(), 0.25)

    def test_while_it_is_in_vain_other_slots_go_first(self) -> None:
        founding = Founding("net", 8, 32, 3, (A, B, C))
        repairer = Repairer({key: record(1) for key in keys(70)}, founding=founding)

        def compared() -> int:
            ((_to, message),) = repairer.step()
            assert isinstance(message, Sum)
            return message.address.slot

        def lacking() -> None:
            where = msg.Address(founding.id, 0, 1, 1, A.store)
            listed = Stock(founding.id, where, B.store, None, (), False)
            repairer.repair.on_stock("B", listed)
            repairer.said()

        before = [*iter(compared, 0)]
        lacking()
        self.assertEqual(compared(), 0, "it goes on at once")
        lacking()
        others = [*iter(compared, 0)]
        self.assertEqual(sorted(before + others), [*range(1, 32)])

    def test_a_member_that_lists_something_else_every_time_is_not_compared_for_ever(self) -> None:
        repairer = Repairer({b"k": record(1)})
        again = 0
        for number in range(1000):
            repairer.stock({b"z": ballot(1)}, after=b"%04d" % number)
            if repairer.around.alarms.next() is None:
                break
            repairer.rings()
            repairer.step()
            repairer.rings()
            again += 1
        self.assertEqual(again, 256)

    def test_what_is_asked_for_is_given_as_far_as_it_is_here(self) -> None:
        repairer = Repairer({b"a": record(1), b"b": record(2), b"c": PROMISED})
        self.assertEqual(
            repairer.missing(b"b", b"none", b"c", sender="C"), [accept(b"b", 2, member=C)]
        )
        self.assertEqual(repairer.repair.given, 1)

    def test_a_list_goes_on_where_it_is_asked_to(self) -> None:
        repairer = Repairer({key: record(1) for key in keys(300)})
        ((to, listed),) = repairer.missing(after=b"0041", sender="C")
        assert isinstance(listed, Stock)
        self.assertEqual((to, listed.address, listed.after), ("C", address(C), b"0041"))
        self.assertEqual([key for key, _accepted in listed.accepted], keys(256, 42))
        self.assertTrue(listed.more)
        ((_to, listed),) = repairer.missing(after=b"0043")
        assert isinstance(listed, Stock)
        self.assertEqual((len(listed.accepted), listed.more), (256, False))

    def test_nothing_is_given_to_or_taken_from_who_is_no_member(self) -> None:
        repairer = Repairer({b"a": record(1)})
        self.assertEqual(repairer.stock({b"b": ballot(1)}, sender=D), [])
        self.assertEqual(repairer.stock({b"b": ballot(1)}, sender=Member("B", 99)), [])
        self.assertEqual(repairer.missing(b"a", after=b"", sender="D"), [])

    def test_nothing_is_given_or_taken_in_another_epoch(self) -> None:
        repairer = Repairer({b"a": record(1)})
        self.assertEqual(repairer.stock({b"b": ballot(1)}, epoch=2), [])
        self.assertEqual(repairer.missing(b"a", after=b"", epoch=2), [])

    def test_what_was_installed_with_the_epoch_is_written_again_and_not_given(self) -> None:
        second = Configuration(1, 2, (A, B, C))
        mine = {b"old": record(1), b"new": record(1, epoch=2)}
        repairer = Repairer(mine, (Head(FORMATION, 0, second),))
        said = repairer.missing(b"old", b"new", epoch=2)
        to = address(B, epoch=2)
        self.assertEqual(said, [("B", msg.Accept(to, 0, b"new", ballot(1, 2), CONTENT))])
        self.assertEqual((repairer.written, repairer.repair.given), ([(b"old", NONE)], 2))
