"""What a node finds out about those that hold slots with it, and a stop that waits for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService, InvalidKey, NoStore
from chordnet.core.base.errors import Busy, ChordnetError
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.outcomes import Inspected, MemberSeen, Report, SlotSeen, Standing
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Enquiry, Inspect, MayStop
from chordnet.net.base.turn import Turn
from chordnet.net.store.standing import Standings
from chordnet.settings import NodeSettings
from chordnet.wire.stores import KeyMember, KeyMembers, SlotStanding, StoreStanding
from tests.net.test_sockets import SocketCase

A, B, C, D = (Member(name, number) for number, name in enumerate("ABCD", 1))
THREE = Configuration(1, 4, (A, B, C))
SAFE = SlotSeen(0, THREE, (B, C), ())
AT_RISK = SlotSeen(1, THREE, (B,), ())


class Script:
    """Answers questions about members when and as the test says."""

    def __init__(self) -> None:
        self.failed = ""
        self.none = ""
        self.refuses: ChordnetError | None = None
        self.asked: list[tuple[Enquiry, float]] = []
        self.waiting: list[Callable[[Report | ChordnetError], None]] = []

    def enquire(
        self, asked: Enquiry, timeout_s: float, done: Callable[[Report | ChordnetError], None]
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append((asked, timeout_s))
        self.waiting.append(done)

    def why_none(self) -> str:
        return self.none

    def say(self, *slots: SlotSeen) -> None:
        self.waiting.pop(0)(Standing(slots))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = Script()
        turn = Turn(self.clock, lambda *_: self.fail("a turn has failed"))
        self.standings = Standings(self.clock, turn, self.store)
        self.bare = Standings(self.clock, turn, None)
        self.told: list[object] = []


class CanStopTests(Case):
    def test_a_node_without_which_every_slot_keeps_a_majority_can_be_stopped(self) -> None:
        self.standings.can_stop(self.told.append)
        self.assertEqual(self.store.asked, [(MayStop(), 1.0)])
        self.store.say(SAFE)
        self.assertEqual(self.told, [StoreStanding(True, 1, 0, [])])

    def test_the_slots_that_would_be_without_one_are_told_with_their_members(self) -> None:
        self.standings.can_stop(self.told.append)
        self.store.say(SAFE, AT_RISK, SlotSeen(2, THREE, (), (C,)))
        slots = [
            SlotStanding(1, 4, ["A", "B", "C"], ["B"], [], False),
            SlotStanding(2, 4, ["A", "B", "C"], [], ["C"], False),
        ]
        self.assertEqual(self.told, [StoreStanding(False, 3, 2, slots)])

    def test_of_very_many_such_slots_the_first_64_are_told(self) -> None:
        self.standings.can_stop(self.told.append)
        self.store.say(*[SlotSeen(n, THREE, (), ()) for n in range(100)])
        (found,) = self.told
        assert isinstance(found, StoreStanding)
        self.assertEqual((found.held, found.at_risk, len(found.slots)), (100, 100, 64))

    def test_a_node_whose_store_answers_for_nothing_can_be_stopped(self) -> None:
        self.bare.can_stop(self.told.append)
        self.store.failed = "disk full"
        self.standings.can_stop(self.told.append)
        self.store.failed, self.store.none = "", "it has not begun"
        self.standings.can_stop(self.told.append)
        self.assertEqual(self.told, [StoreStanding(True, 0, 0, [])] * 3)
        self.assertEqual(self.store.asked, [])

    def test_a_store_that_ends_meanwhile_answers_with_why(self) -> None:
        self.standings.can_stop(self.told.append)
        gone = NoStore("stopped")
        self.store.waiting.pop()(gone)
        self.assertEqual(self.told, [gone])


class InspectTests(Case):
    def test_what_each_member_has_is_told(self) -> None:
        self.standings.inspect("config", self.told.append)
        self.assertEqual(self.store.asked, [(Inspect(b"config"), 1.0)])
        has = Content(b"blue", 7, 99.0, ())
        seen = (
            MemberSeen(A, 0.5, None, Ballot(4, 2, "B", 31), has),
            MemberSeen(B, 0.7, Why.SEALED, NONE, None),
            MemberSeen(C, None, None, NONE, None),
            MemberSeen(D, 0.9, None, Ballot(4, 2, "B", 31), Content(b"", 7, 99.0, ()), 70_000),
        )
        self.store.waiting.pop()(Inspected(63, THREE, seen))
        expected = [
            KeyMember("A", f"{1:016x}", 0.5, "", 7, "4.2 B 1f", 4, 99.0),
            KeyMember("B", f"{2:016x}", 0.7, "SEALED", None, "", None, None),
            KeyMember("C", f"{3:016x}", None, "", None, "", None, None),
            KeyMember("D", f"{4:016x}", 0.9, "", 7, "4.2 B 1f", 70_000, 99.0),
        ]
        self.assertEqual(self.told, [KeyMembers(63, 1, 4, expected)])

    def test_an_impossible_key_and_a_node_without_a_store_are_refused(self) -> None:
        with self.assertRaises(InvalidKey):
            self.standings.inspect("", self.told.append)
        with self.assertRaises(NoStore):
            self.bare.inspect("config", self.told.append)

    def test_a_store_that_ends_meanwhile_answers_with_why(self) -> None:
        self.standings.inspect("config", self.told.append)
        gone = NoStore("stopped")
        self.store.waiting.pop()(gone)
        self.assertEqual(self.told, [gone])


class BeforeStopTests(Case):
    def stop(self) -> None:
        self.standings.before_stop(5.0, partial(self.told.append, "stops"))

    def test_a_node_that_can_stop_does_so_when_the_others_have_answered(self) -> None:
        self.stop()
        self.assertEqual(self.store.asked, [(MayStop(leaving=True), 1.0)])
        self.assertEqual(self.told, [])
        self.store.say(SAFE)
        self.assertEqual(self.told, ["stops"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_waits_and_asks_again_while_a_slot_would_be_without_a_majority(self) -> None:
        self.stop()
        self.store.say(SAFE, AT_RISK)
        self.clock.advance(0.2)
        self.assertEqual(len(self.store.asked), 1)
        self.clock.advance(0.05)
        self.assertEqual(len(self.store.asked), 2)
        self.store.say(SAFE)
        self.assertEqual(self.told, ["stops"])

    def test_it_waits_for_5_seconds_at_most(self) -> None:
        self.stop()
        self.store.say(AT_RISK)
        self.clock.pump([0.25] * 19)
        self.assertEqual(self.told, [])
        self.clock.advance(0.25)
        self.assertEqual(self.told, ["stops"])
        self.store.say(AT_RISK)
        self.assertEqual(self.told, ["stops"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_does_not_wait_where_that_would_not_help(self) -> None:
        two = Configuration(1, 1, (A, B))
        for seen in (
            SlotSeen(0, THREE, (B,), (C,)),
            SlotSeen(0, two, (B,), ()),
            SlotSeen(0, Configuration(1, 1, (A,)), (), ()),
        ):
            self.stop()
            self.store.say(seen)
            self.assertEqual(self.told.pop(), "stops")

    def test_it_does_not_wait_without_a_store(self) -> None:
        self.bare.before_stop(5.0, partial(self.told.append, "stops"))
        self.store.refuses = NoStore("stopped")
        self.stop()
        self.assertEqual(self.told, ["stops"] * 2)

    def test_it_asks_again_if_too_much_is_under_way(self) -> None:
        self.store.refuses = Busy("later")
        self.stop()
        self.store.refuses = None
        self.clock.advance(0.25)
        self.store.say(SAFE)
        self.assertEqual(self.told, ["stops"])


class StoppingTests(SocketCase):
    async def ring(self, count: int) -> list[ChordService]:
        settings = NodeSettings(slots=16, store="memory", founders=("one",))
        nodes: list[ChordService] = []
        for name in ("one", "two", "three", "four")[:count]:
            nodes.append(await self.service(name, *nodes[:1], settings=settings))
        await gatherResults([node.joined() for node in nodes])
        while True:
            states = await gatherResults([node.store_state() for node in nodes])
            slots = [slot for state in states for slot in state.slots]
            if slots and all(len(slot.members) == min(3, count) for slot in slots):
                return nodes
            await deferLater(reactor, 0.05)

    async def until(self, node: ChordService, can: bool) -> StoreStanding:
        while True:
            found = await node.can_stop()
            if found.can_stop == can:
                return found
            await deferLater(reactor, 0.05)

    async def test_one_of_four_can_be_stopped_and_then_no_other_of_its_slots(self) -> None:
        nodes = await self.ring(4)
        for node in nodes:
            found = await self.until(node, True)
            self.assertEqual(found.slots, [])
        client = self.client(nodes[0])
        self.assertTrue((await client.can_stop()).can_stop)
        await client.put("config", b"blue")
        seen = await client.inspect("config")
        self.assertEqual([each.version for each in seen.members if each.bytes][:2], [1, 1])
        await nodes[3].stopService()
        found = await self.until(nodes[0], False)
        for slot in found.slots:
            self.assertEqual(len(slot.answering), 1)
        self.assertEqual((await client.get("config")).value, b"blue")

    async def test_two_nodes_are_both_needed(self) -> None:
        nodes = await self.ring(2)
        found = await self.until(nodes[1], False)
        self.assertEqual((found.held, found.at_risk), (16, 16))

    async def test_questions_about_members_are_counted_as_no_operations(
        self,
    ) -> None:
        (node,) = await self.ring(1)
        await node.put("config", b"blue")
        before = (await node.status()).counters
        waits = node.can_stop()
        await node.can_stop()
        self.assertFalse((await waits).can_stop)
        after = (await node.status()).counters
        keys = [name for name in before if "operation" in name]
        self.assertEqual([after[name] for name in keys], [before[name] for name in keys])
