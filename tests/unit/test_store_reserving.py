"""New keys in one round: what members promise, who asks for it, and when."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots, below
from chordnet.core.store.base.configurations import Configuration, Member, Reservation
from chordnet.core.store.base.effects import Effect, Reserves, Say
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.outcomes import Done
from chordnet.core.store.base.records import EMPTY, Floor
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.node.talk import letters, read
from chordnet.core.store.slot.registers import Registers
from chordnet.core.store.slot.reserving import (
    MOST_KNOWN,
    MOST_LEAP,
    RESERVED_S,
    Pending,
    Reserving,
    fingerprint,
    fingerprints,
    fits,
    numbers_in,
)
from chordnet.core.store.upkeep.reservations import (
    AT_ONCE,
    FIRST_PAUSE_S,
    MOST_HELD,
    WITHIN_S,
    Reservations,
)
from tests.unit.store_node_support import A as NODE_A
from tests.unit.store_node_support import B as NODE_B
from tests.unit.store_node_support import C as NODE_C
from tests.unit.store_node_support import D as NODE_D
from tests.unit.store_node_support import Network, Node
from tests.unit.store_support import (
    FIRST,
    KEY,
    SECOND,
    WHERE,
    A,
    B,
    C,
    Disk,
    Led,
    ballot,
    content,
    to,
)

PUT = Put(KEY, b"new", b"mine")


def reserve(disk: Disk, counter: int, node: str = "A", rid: int = 1) -> msg.StoreMessage:
    asked = msg.Reserve(to(disk.registers.me), rid, ballot(counter, node))
    disk.registers.on_reserve("X", asked)
    (answer,) = disk.said()
    return answer


class MemberTests(SynchronousTestCase):
    def test_a_member_promises_a_ballot_for_every_key_without_a_record(self) -> None:
        disk = Disk()
        self.assertEqual(reserve(disk, 4), msg.Reserved(to(), 1, ballot(4), 0, b""))
        self.assertEqual(disk.head.floor, Floor(below(ballot(4)), 0))
        self.assertEqual(disk.accept(3, 1), msg.Outrun(to(), 1, ballot(3), below(ballot(4))))
        self.assertEqual(disk.accept(4, 1), msg.Accepted(to(), 1, ballot(4)))

    def test_a_higher_ballot_is_promised_for_a_new_key_all_the_same(self) -> None:
        disk = Disk()
        reserve(disk, 4)
        self.assertIsInstance(disk.prepare(5), msg.Promised)
        self.assertEqual(disk.accept(4, 1), msg.Outrun(to(), 1, ballot(4), ballot(5)))

    def test_a_member_names_the_keys_that_it_has_a_record_of_and_promises_nothing_for_them(self):
        disk = Disk()
        disk.accept(1, 1)
        answer = reserve(disk, 4)
        self.assertEqual(answer, msg.Reserved(to(), 1, ballot(4), 0, fingerprints([KEY])))
        self.assertEqual(disk.accept(2, 2), msg.Accepted(to(), 1, ballot(2)))

    def test_who_is_asked_again_says_so_again_and_writes_nothing(self) -> None:
        disk = Disk()
        first = reserve(disk, 4)
        self.assertEqual(reserve(disk, 4), first)
        self.assertEqual(disk.registers.changes, 1)

    def test_a_ballot_at_or_below_the_floor_is_outrun(self) -> None:
        disk = Disk(floor=Floor(ballot(4), 7))
        for counter in (3, 4):
            answer = reserve(disk, counter)
            self.assertEqual(answer, msg.Outrun(to(), 1, ballot(counter), ballot(4)))
        self.assertEqual(reserve(disk, 5), msg.Reserved(to(), 1, ballot(5), 7, b""))

    def test_a_ballot_that_no_honest_node_makes_is_refused(self) -> None:
        for odd in (ballot(MOST_LEAP + 1), replace(ballot(1), run=0), ballot(1, epoch=2)):
            self.assertEqual(Why.BALLOT, self.refusal(Disk(), odd))

    def refusal(self, disk: Disk, asked: Ballot) -> Why:
        disk.registers.on_reserve("X", msg.Reserve(to(), 1, asked))
        (answer,) = disk.said()
        assert isinstance(answer, msg.Refused), answer
        return answer.why

    def test_a_sealed_member_promises_nothing(self) -> None:
        disk = Disk()
        disk.vote(1, A, B)
        self.assertEqual(Why.SEALED, self.refusal(disk, ballot(2)))

    def test_a_member_with_too_many_records_to_name_refuses(self) -> None:
        disk = Disk()
        disk.accept(1, 1)
        known = disk.records[KEY]
        disk.registers.records.update({b"%d" % n: known for n in range(MOST_KNOWN)})
        disk.registers.on_reserve("X", msg.Reserve(to(), 1, ballot(2)))
        refused = disk.registers._effects[-1].message
        self.assertEqual(refused.why, Why.CROWDED)

    def test_a_slot_is_given_to_another_node_only_after_a_while(self) -> None:
        now = [1000.0]
        effects: list[Effect] = []
        head = Disk().head
        registers = Registers(A, head, {}, effects, StoreSafeguards(), lambda: now[0])

        def asked(counter: int, node: str) -> msg.StoreMessage:
            registers.on_reserve(node, msg.Reserve(to(), 1, ballot(counter, node)))
            return [each.message for each in effects if isinstance(each, Say)][-1]

        self.assertIsInstance(asked(1, "X"), msg.Reserved)
        self.assertIsInstance(asked(2, "Y"), msg.Refused)
        self.assertIsInstance(asked(2, "X"), msg.Reserved)
        now[0] += RESERVED_S
        self.assertIsInstance(asked(3, "Y"), msg.Reserved)


class Asked:
    """A reservation under way."""

    def __init__(self, *, first: bool = False, spare: tuple[Member, ...] = ()) -> None:
        self.effects: list[Effect] = []
        self.ballots = Ballots("X", 1, 6)
        pending = Pending(FIRST, first, spare=spare)
        self.reserving = Reserving(5, WHERE, self.ballots, self.effects, pending)
        self.reserving.begin()

    @property
    def asks(self) -> list[str]:
        return [each.to for each in self.effects if isinstance(each, Say)]

    @property
    def held(self) -> list[Reservation]:
        return [each.reservation for each in self.effects if isinstance(each, Reserves)]

    def promised(self, member: Member, floor: int = 0, *known: bytes) -> None:
        ballot = self.reserving.pending.ballot
        answer = msg.Reserved(to(member), 5, ballot, floor, fingerprints(known))
        self.reserving.on_reserved(member.node, answer)


class ReservingTests(SynchronousTestCase):
    def test_a_majority_reserves_the_slot_with_all_that_any_of_it_knows(self) -> None:
        asked = Asked()
        asked.promised(A, 3, b"one", b"two")
        asked.promised(A, 9, b"nine")
        self.assertEqual(asked.held, [])
        asked.promised(B, 2, b"two", b"three")
        known = fingerprints([b"one", b"two", b"three"])
        self.assertEqual(asked.held, [Reservation(FIRST, Ballot(1, 7, "X", 1), 3, known)])
        asked.promised(C)
        self.assertEqual(len(asked.held), 1)

    def test_the_first_ballot_of_an_epoch_is_below_all_that_are_used_in_two_rounds(self) -> None:
        asked = Asked(first=True)
        self.assertEqual(asked.reserving.pending.ballot, Ballot(1, 0, "X", 1))
        self.assertLess(Ballot(1, 0, "X", 1), Ballots("A", 0).above(NONE, 1))

    def test_spared_members_are_not_asked(self) -> None:
        self.assertEqual(Asked(spare=(B,)).asks, ["A", "C"])

    def test_one_member_that_has_promised_more_ends_it_and_is_outdone_the_next_time(self) -> None:
        asked = Asked()
        now = asked.reserving.pending.ballot
        asked.reserving.on_outrun("A", msg.Outrun(to(), 5, now, ballot(40)))
        self.assertTrue(asked.reserving.pending.over)
        self.assertEqual(asked.ballots.above(NONE, 1).counter, 41)
        asked.promised(B)
        asked.promised(C)
        self.assertEqual(asked.held, [])

    def test_answers_for_another_ballot_epoch_or_disk_do_not_count(self) -> None:
        asked = Asked()
        now = asked.reserving.pending.ballot
        other = replace(to(), store=9)
        for where, node, of in ((to(), "A", ballot(1)), (to(epoch=2), "A", now), (other, "A", now)):
            asked.reserving.on_reserved(node, msg.Reserved(where, 5, of, 0, b""))
        self.assertEqual(asked.reserving.pending.answered, ())

    def test_a_refusal_ends_it(self) -> None:
        asked = Asked()
        refused = msg.Refused(to(), 5, Why.SEALED, WHERE[0], A.store, FIRST, sealed=True)
        asked.reserving.on_refused("A", refused)
        self.assertTrue(asked.reserving.pending.over)

    def test_fingerprints_are_read_as_they_were_written(self) -> None:
        keys = [b"%d" % number for number in range(50)]
        found = numbers_in(fingerprints([*keys, *keys]))
        self.assertEqual(found, sorted({fingerprint(key) for key in keys}))

    def test_only_a_value_for_a_key_that_may_be_absent_can_be_written_so(self) -> None:
        held = Reservation(FIRST, ballot(1), 0, b"")
        self.assertTrue(fits(held, PUT, FIRST))
        self.assertTrue(fits(held, replace(PUT, if_version=0), FIRST))
        self.assertFalse(fits(held, replace(PUT, if_version=3), FIRST))
        self.assertFalse(fits(held, replace(PUT, value=None), FIRST))
        self.assertFalse(fits(held, replace(PUT, since=0), FIRST))
        self.assertFalse(fits(held, Get(KEY), FIRST))
        self.assertFalse(fits(held, PUT, SECOND))

    def test_an_answer_with_more_fingerprints_than_a_slot_may_have_is_no_honest_one(self) -> None:
        address = replace(to(), formation=bytes(16))
        for known, sound in ((b"ab" * MOST_KNOWN, True), (b"ab" * (MOST_KNOWN + 1), False)):
            (letter,) = letters([msg.Reserved(address, 1, ballot(1), 0, known)])
            if sound:
                self.assertEqual(len(read(letter)), 1)
            else:
                self.assertRaises(ValueError, read, letter)
        (odd,) = letters([msg.Reserved(address, 1, ballot(1), 0, b"abc")])
        self.assertRaises(ValueError, read, odd)


class Around:
    """The surroundings of a coordinator of many slots."""

    def __init__(self, slots: int = 64, alike: int = 64) -> None:
        self.now = 100.0
        self.effects: list[Effect] = []
        self._rid = 0
        others = Configuration(1, 1, (A, B))
        self.configurations = [FIRST if slot < alike else others for slot in range(slots)]
        self.of = Reservations(
            self, b"f", slots, Ballots("X", 1), self.configurations.__getitem__,
            lambda _rid, _configuration: (),
        )  # fmt: skip

    def rid(self) -> int:
        self._rid += 1
        return self._rid

    def asked(self) -> list[int]:
        """Return the slots that were asked for, and forget them."""
        said = [each.message for each in self.effects if isinstance(each, Say)]
        self.effects.clear()
        return sorted({message.address.slot for message in said})

    def hold(self, slot: int, *known: bytes, configuration: Configuration = FIRST) -> None:
        self.of.hold(slot, Reservation(configuration, ballot(1, "X"), 3, fingerprints(known)))


class ReservationsTests(SynchronousTestCase):
    def test_the_second_new_key_of_a_few_seconds_asks_for_all_slots_with_the_same_members(self):
        around = Around(alike=5)
        around.of.wrote_new(2)
        self.assertEqual(around.asked(), [])
        around.of.wrote_new(4)
        self.assertEqual(around.asked(), [0, 1, 2, 3, 4])

    def test_new_keys_that_are_written_now_and_then_ask_for_nothing(self) -> None:
        around = Around()
        for _ in range(3):
            around.of.wrote_new(2)
            around.now += WITHIN_S + 1
        self.assertEqual(around.asked(), [])

    def test_no_more_slots_are_asked_for_at_once_than_go_together(self) -> None:
        around = Around()
        around.of.wrote_new(20)
        around.of.wrote_new(20)
        self.assertEqual(len(around.asked()), AT_ONCE)

    def test_a_new_key_is_written_with_the_ballot_that_was_promised_and_only_once(self) -> None:
        around = Around()
        around.hold(2)
        following = around.of.use(2, PUT, FIRST)
        assert following is not None
        self.assertEqual(
            (following.ballot, following.base, following.floor), (ballot(1, "X"), EMPTY, 3)
        )
        self.assertIsNone(around.of.use(2, PUT, FIRST))
        self.assertIsNotNone(around.of.use(2, replace(PUT, key=b"other"), FIRST))

    def test_a_key_that_a_member_knew_is_not_written_so(self) -> None:
        around = Around()
        around.hold(2, KEY)
        self.assertIsNone(around.of.use(2, PUT, FIRST))

    def test_a_slot_that_is_not_reserved_or_has_moved_is_not_written_so(self) -> None:
        around = Around()
        self.assertIsNone(around.of.use(2, PUT, FIRST))
        around.hold(2)
        self.assertIsNone(around.of.use(2, PUT, SECOND))

    def test_a_reservation_that_failed_is_given_up_and_not_asked_for_again_at_once(self) -> None:
        around = Around(slots=4)
        around.hold(2)
        around.of.failed(2)
        self.assertIsNone(around.of.use(2, PUT, FIRST))
        for _ in range(2):
            around.of.wrote_new(2)
        self.assertNotIn(2, around.asked())
        around.now += FIRST_PAUSE_S
        around.of.wrote_new(2)
        self.assertIn(2, around.asked())

    def test_a_slot_is_left_alone_longer_each_time_that_it_is_asked_for_in_vain(self) -> None:
        around = Around(slots=1)
        around.of.wrote_new(0)
        found = []
        for second in range(1, 16):
            around.of.wrote_new(0)
            found += [second] if around.asked() else []
            around.now += 1.0
        self.assertEqual(found, [1, 2, 4, 8])

    def test_a_slot_that_is_reserved_is_asked_for_again_only_when_it_has_moved(self) -> None:
        around = Around(slots=1)
        around.hold(0)
        around.of.wrote_new(0)
        around.of.wrote_new(0)
        self.assertEqual(around.asked(), [])
        around.configurations[0] = SECOND
        around.of.wrote_new(0)
        around.of.wrote_new(0)
        self.assertEqual(around.asked(), [0])

    def test_each_epoch_of_a_slot_is_asked_for_with_the_lowest_ballot_once(self) -> None:
        around = Around(slots=1)
        counters = []
        for moved in (False, False, True):
            if moved:
                around.configurations[0] = SECOND
            around.now += 2 * FIRST_PAUSE_S
            around.of.wrote_new(0)
            around.of.wrote_new(0)
            said = [each.message for each in around.effects if isinstance(each, Say)]
            counters.append(said[-1].ballot.counter)
        self.assertEqual(counters, [0, 1, 0])

    def test_only_so_many_slots_are_held(self) -> None:
        around = Around(slots=MOST_HELD + 1)
        for slot in range(MOST_HELD + 1):
            around.hold(slot)
        self.assertIsNone(around.of.use(0, PUT, FIRST))
        self.assertIsNotNone(around.of.use(1, PUT, FIRST))

    def test_a_reservation_that_is_over_is_forgotten(self) -> None:
        around = Around(slots=1)
        around.of.wrote_new(0)
        around.of.wrote_new(0)
        reserving = around.of.get(1)
        assert reserving is not None
        around.of.went_on(1)
        self.assertIs(around.of.get(1), reserving)
        refused = msg.Refused(to(), 1, Why.CROWDED, b"f", A.store, FIRST, sealed=False)
        reserving.on_refused("A", replace(refused, address=replace(to(), formation=b"f", slot=0)))
        around.of.went_on(1)
        self.assertIsNone(around.of.get(1))


class OperationTests(SynchronousTestCase):
    def test_a_new_version_is_above_the_floor_that_was_told_with_the_promise(self) -> None:
        around = Around()
        around.hold(0)
        following = around.of.use(0, PUT, FIRST)
        led = Led(PUT)
        led.operation.attempt = led.operation.at_first(PUT, FIRST, (), following)
        led.effects.clear()
        led.operation.begin()
        accepts = [message for _, message in led.asks if isinstance(message, msg.Accept)]
        self.assertEqual([each.content.version for each in accepts], [4, 4, 4])
        self.assertEqual({each.ballot for each in accepts}, {ballot(1, "X")})


class NodeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes = [Node(each) for each in (NODE_A, NODE_B, NODE_C, NODE_D)]
        self.network = Network(*self.nodes)
        self.network.deliver()

    def put(self, op: int, key: bytes, node: int = 3) -> Done:
        at = self.nodes[node]
        at.ask(op, Put(key, b"value", b"%d" % op))
        self.sent = [type(message) for _to, message in at.sent]
        self.network.deliver()
        done = at.outcomes[op]
        assert isinstance(done, Done), done
        return done

    def test_the_third_new_key_of_a_node_takes_one_round(self) -> None:
        for op in (1, 2):
            self.put(op, b"key %d" % op)
            self.assertIn(msg.Prepare, self.sent)
        self.assertEqual(self.put(3, b"key 3").version, 1)
        self.assertNotIn(msg.Prepare, self.sent)
        self.assertIn(msg.Accept, self.sent)

    def test_while_a_member_is_out_of_reach_a_write_takes_both_rounds(self) -> None:
        for op in (1, 2):
            self.put(op, b"key %d" % op)
        for op, key in ((3, b"key 3"), (4, b"key 1")):
            self.nodes[3].machine.around.lose("A")  # it answers, and is there again
            self.put(op, key)
            self.assertIn(msg.Prepare, self.sent, key)
            self.assertNotIn(msg.Accept, self.sent, key)

    def test_a_key_that_others_have_written_meanwhile_is_written_all_the_same(self) -> None:
        for op in (1, 2):
            self.put(op, b"key %d" % op)
        self.put(1, b"key 3", node=1)
        at = self.nodes[3]
        at.ask(3, Put(b"key 3", b"mine", b"3"))
        self.network.deliver()
        at.wait(1.0)
        self.network.deliver()
        done = at.outcomes[3]
        assert isinstance(done, Done), done
        self.assertEqual(done.version, 2)

    def test_a_stranger_reserves_nothing_in_the_name_of_another_node(self) -> None:
        at = self.nodes[0]
        formation = at.formation.id
        address = msg.Address(formation, 0, 1, 1, NODE_A.store)
        at.hear("D", msg.Reserve(address, 1, Ballot(1, 0, "E", 9)))
        (refused,) = at.take(msg.Refused, "D")
        self.assertEqual(refused[1].why, Why.STRANGER)


class ContentTests(SynchronousTestCase):
    def test_a_tombstone_below_a_reservation_counts_as_past_where_there_is_no_record(self) -> None:
        disk = Disk()
        reserve(disk, 5)
        gone = (KEY, ballot(4))
        (answer,) = disk.take(msg.Collect(to(), 7, (gone,)))
        self.assertEqual(answer, msg.Collectable(to(), 7, (gone,)))
        (answer,) = disk.take(msg.Collect(to(), 7, ((KEY, ballot(5)),)))
        self.assertEqual(answer, msg.Collectable(to(), 7, ()))

    def test_what_was_deleted_and_collected_since_is_not_written_under_a_reservation(self) -> None:
        disk = Disk()
        reserve(disk, 5)
        disk.take(msg.Accept(to(), 1, KEY, ballot(6), content(1, None)))
        disk.take(msg.Drop(to(), 7, ((KEY, ballot(6)),)))
        self.assertEqual(disk.accept(5, 1), msg.Outrun(to(), 1, ballot(5), ballot(6)))
