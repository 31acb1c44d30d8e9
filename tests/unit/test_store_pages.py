"""Pages of a slot's state: large values are not sent to a member that has them."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import AllDropped, RecordKept
from chordnet.core.store.base.records import GROUND, LARGE_BYTES, Applied, Content, Record
from chordnet.core.store.slot.pages import HAVE_IN_ONE, AtHand
from tests.unit.store_node_support import FIRST, A, B, C, D, address
from tests.unit.test_store_node_holdings import SECOND, Disk, chosen

SOURCE = ("B", address(B))


def record(counter: int, value: bytes = b"v" * 2000) -> Record:
    ballot = Ballot(1, counter, "A", 1)
    return Record(ballot, ballot, Content(value, counter, None, (Applied(counter, b"r"),)))


def promised(each: Record) -> Record:
    """Return the record as it is when a later write was promised."""
    return replace(each, promised=Ballot(1, each.promised.counter + 1, "A", 1))


class AtHandTests(SynchronousTestCase):
    def test_keys_with_large_values_are_named_with_their_newest_ballots(self) -> None:
        hand = AtHand()
        large, small = bytes(LARGE_BYTES + 1), bytes(LARGE_BYTES)
        hand.add(((b"b", record(2, large)), (b"a", record(1, large)), (b"c", record(1, small))))
        hand.add(((b"b", record(1, large)), (b"a", record(3, large))))
        self.assertEqual(
            hand.offer(SOURCE, None),
            ((b"a", record(3).accepted), (b"b", record(2).accepted)),
        )
        self.assertEqual(hand.offer(SOURCE, b"a"), ((b"b", record(2).accepted),))

    def test_one_question_names_a_limited_number_of_keys(self) -> None:
        hand = AtHand()
        hand.add((b"%04d" % number, record(1)) for number in range(HAVE_IN_ONE + 5))
        named = hand.offer(SOURCE, None)
        self.assertEqual([key for key, _ in named], [b"%04d" % n for n in range(HAVE_IN_ONE)])

    def test_what_is_left_out_is_what_was_named_then_though_something_newer_has_come(self) -> None:
        hand = AtHand()
        hand.add(((b"a", record(1)),))
        hand.offer(SOURCE, None)
        hand.add(((b"a", record(2)),))
        page = hand.filled(SOURCE, ((b"a", None), (b"b", record(1, b"s"))))
        self.assertEqual(page, ((b"a", record(1)), (b"b", record(1, b"s"))))

    def test_a_page_that_leaves_out_what_was_never_named_to_that_node_is_no_page(self) -> None:
        hand = AtHand()
        hand.add(((b"a", record(1)),))
        hand.offer(("C", address(C)), None)
        self.assertIsNone(hand.filled(SOURCE, ((b"a", None),)))
        hand.offer(SOURCE, b"a")
        self.assertIsNone(hand.filled(SOURCE, ((b"a", None),)))

    def test_a_value_that_comes_from_several_nodes_is_held_once(self) -> None:
        hand = AtHand()
        first = hand.filled(SOURCE, ((b"a", record(1, bytes(2000))),))
        other = hand.filled(("C", address(C)), ((b"a", record(1, bytes(2000))),))
        assert first is not None
        assert other is not None
        self.assertEqual(first, other)
        self.assertIs(first[0][1].content, other[0][1].content)

    def test_another_content_under_the_same_ballot_is_not_taken_for_the_same(self) -> None:
        hand = AtHand()
        hand.filled(SOURCE, ((b"a", record(1, bytes(2000))),))
        lie = record(1, b"\1" * 2000)
        self.assertEqual(hand.filled(("C", address(C)), ((b"a", lie),)), ((b"a", lie),))

    def test_nothing_is_at_hand_any_more_when_it_was_forgotten(self) -> None:
        hand = AtHand()
        hand.add(((b"a", record(1)),))
        hand.offer(SOURCE, None)
        hand.forget()
        self.assertIsNone(hand.filled(SOURCE, ((b"a", None),)))
        self.assertEqual(hand.offer(SOURCE, None), ())


class ReadingTests(SynchronousTestCase):
    """Slot 0 moves from A, B, C; D is new and asks all of them."""

    def setUp(self) -> None:
        self.disk = Disk(D)
        told = msg.Chosen(address(D, epoch=2), 7, FIRST, SECOND)
        self.disk.take(told, "L")

    def page(self, member: Member, *records: tuple[bytes, Record | None], **how: object) -> None:
        after, more = how.get("after"), bool(how.get("more", True))
        answer = msg.Snapshot(address(member), 7, after, records, GROUND, more)  # type: ignore[arg-type]
        self.disk.holdings.snapshot(member.node, answer)

    def fetches(self) -> list[tuple[str, bytes | None, list[bytes]]]:
        said = [(to, message) for to, message in self.disk.said() if isinstance(message, msg.Fetch)]
        return [(to, each.after, [key for key, _ in each.have]) for to, each in said]

    def test_a_state_of_many_pages_is_read_on_from_one_member_at_a_time(self) -> None:
        self.page(A, (b"a", record(1)))
        self.assertEqual(self.fetches(), [("A", b"a", [])])
        self.page(B, (b"a", record(1)))
        self.assertEqual(self.fetches(), [])
        self.page(A, (b"b", record(1)), after=b"a")
        self.assertEqual(self.fetches(), [("A", b"b", [])])
        self.page(A, (b"c", record(1)), after=b"b", more=False)
        self.assertEqual(self.fetches(), [("B", b"a", [b"b", b"c"])])
        self.page(B, (b"b", None), (b"c", record(2)), after=b"a", more=False)
        self.assertEqual(self.disk.head().configuration, SECOND)
        records = self.disk.holdings.slots[0].registers.records
        self.assertEqual(
            {key: each.content.version for key, each in records.items()},
            {b"a": 1, b"b": 1, b"c": 2},
        )

    def test_who_asks_again_goes_on_where_each_member_was(self) -> None:
        self.page(A, (b"a", record(1)))
        self.page(B, (b"a", record(1)), (b"b", record(1)), more=False)
        self.fetches()
        self.disk.holdings.slots[0].installation.again()
        asked = self.fetches()
        self.assertIn(("A", b"a", [b"b"]), asked)
        self.assertIn(("C", None, [b"a", b"b"]), asked)
        self.assertNotIn("B", [to for to, after, _have in asked if after is not None])

    def test_another_leader_of_the_same_change_begins_nothing_anew(self) -> None:
        self.page(A, (b"a", record(1)))
        self.fetches()
        told = msg.Chosen(address(D, epoch=2), 9, FIRST, SECOND)
        self.disk.holdings.chosen("M", told)
        self.assertIn(("A", b"a", []), self.fetches())
        self.page(A, (b"b", record(1)), after=b"a", more=False)
        self.assertEqual(self.disk.holdings.slots[0].installation.copying.finals, ())

    def test_a_member_that_stays_is_sent_no_large_value_that_it_has(self) -> None:
        disk = Disk(A)
        disk.holdings.slots[0].registers.records[b"k"] = record(1)
        said = disk.take(chosen(new=SECOND), "L")
        have = {to: message.have for to, message in said if isinstance(message, msg.Fetch)}
        self.assertEqual(set(have.values()), {((b"k", record(1).accepted),)})

    def test_a_member_that_stays_writes_no_large_value_again_that_stays_as_it_is(self) -> None:
        for mine, written in (
            ({b"a": record(1), b"b": record(1)}, [b"b", b"c"]),
            ({b"a": promised(record(1)), b"b": record(1)}, [b"b", b"c"]),
            ({b"a": record(1, b"s"), b"b": record(1, b"s")}, [b"a", b"b", b"c"]),
            ({b"a": record(1), b"gone": record(1)}, [b"a", b"b", b"c"]),
        ):
            disk = Disk(A)
            registers = disk.holdings.slots[0].registers
            registers.records.update(mine)
            state = ((b"a", record(1)), (b"b", record(2)), (b"c", record(1)))
            registers.install(SECOND, state, GROUND)
            found = {key: each.content for key, each in registers.records.items()}
            self.assertEqual(found, {key: each.content for key, each in state})
            kept = disk.kept()
            self.assertEqual([each.key for each in kept if isinstance(each, RecordKept)], written)
            dropped = sum(isinstance(each, AllDropped) for each in kept)
            self.assertEqual(dropped, 0 if written == [b"b", b"c"] else 1)

    def test_a_member_leaves_out_of_a_page_what_is_there_under_the_same_ballot(self) -> None:
        disk = Disk(A)
        registers = disk.holdings.slots[0].registers
        registers.records.update({b"a": record(1), b"b": record(2), b"c": record(3)})
        registers.learn(SECOND)
        have = ((b"a", record(1).accepted), (b"b", record(1).accepted))
        ((_to, answer),) = disk.take(msg.Fetch(address(A), 7, 2, None, have), "D")
        assert isinstance(answer, msg.Snapshot)
        expected = ((b"a", None), (b"b", record(2)), (b"c", record(3)))
        self.assertEqual(answer.records, expected)
