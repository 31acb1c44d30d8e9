"""What runs a node's store: letters, lookups, timers and ends, with a machine that is a script."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel, LogPublisher, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Joined, Mailed, PeerDied, RingChanged, StatusChanged
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    LookupFailed,
    NoStore,
    NotInRing,
    StoreFailed,
)
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef, Status, StoreMail
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import (
    AllDropped,
    Answered,
    Entry,
    Keep,
    NodeEffect,
    Noted,
    Post,
)
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.outcomes import Found, Outcome
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Get
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.node.node import StoreNode
from chordnet.net.base.allowance import Load
from chordnet.net.base.interfaces import LookupDoneWith
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.store.keys import Keys
from chordnet.net.store.runner import AT_ONCE, StoreRunner
from chordnet.storage.store.memory import MemoryStore
from chordnet.testing import RecordingTransport, ScriptedCore
from chordnet.wire.rpc import GetKey, LookupResult, NodeInfo
from tests.net.hosts import Keeper, node_ref, shared_by

FULL = "the store cannot be written: No space left on device"
STOPPED = f"the store of me has stopped: {FULL}"
PEER = node_ref("n2", "10.0.0.2:7001")
OTHER = node_ref("n3", "10.0.0.3:7001")
FOUNDING = Founding("default", 160, 16, 3, (Member("me", 1),))
SETTINGS = StoreSettings(network="default", bits=160)
ENDED = Found(EMPTY)


class Machine(StoreNode):
    """A machine that notes its events and asks for what its script says."""

    def __init__(self, settings: StoreSettings, me: str, kept: Kept, rng: random.Random) -> None:
        super().__init__(settings, me, kept, rng)
        self.name, self.kept, self.rng = me, kept, rng
        self.events: list[ev.Event] = []
        self.times: list[tuple[float, float]] = []
        self.batches: list[int] = []
        """How many events it was given at once."""
        self.script: Callable[[ev.Event], list[NodeEffect]] = lambda _event: []
        self.due: float | None = None
        self.looked = 0
        self.belongs: Founding | None = FOUNDING

    def steps(self, events: Sequence[ev.Event], now: float, wall: float) -> list[NodeEffect]:
        found = []
        self.batches.append(len(list(events)))
        for event in events:
            self.events.append(event)
            self.times.append((now, wall))
            found += self.script(event)
        return found

    @property
    def deadline(self) -> float | None:
        self.looked += 1
        return self.due

    @property
    def bound(self) -> float:
        return float("inf") if self.due is None else self.due

    @property
    def founding(self) -> Founding | None:
        return self.belongs


class Disk(MemoryStore):
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.broken = ""
        self.commits = self.checkpoints = 0
        self.noted: Callable[[], None] = lambda: None

    def commit(self) -> None:
        self.commits += 1
        self.noted()
        if self.broken:
            raise StoreFailed(self.broken)

    def put(self, entry: Entry) -> None:
        pass

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.broken:
            raise StoreFailed(self.broken)


class Core(ScriptedCore):
    """A core that knows some nodes."""

    def __init__(self, me: NodeRef) -> None:
        super().__init__(me)
        self.nodes: dict[bytes, NodeRef] = {}

    def known(self, raw: bytes) -> NodeRef | None:
        return self.nodes.get(raw)


@attrs.define
class Ring:
    """The node that the store belongs to, as far as the store sees it."""

    core: Core
    transport: RecordingTransport = attrs.field(factory=RecordingTransport)
    lookups: list[tuple[str, LookupDoneWith]] = attrs.field(factory=list)
    refuses: ChordnetError | None = None

    def find(self, key: str, done: LookupDoneWith) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.lookups.append((key, done))

    @property
    def letters(self) -> list[tuple[str, bytes]]:
        """What was sent: to which address, and what it says."""
        sent = self.transport.sent
        return [(to.address, m.letter) for to, m in sent if isinstance(m, StoreMail)]


def found(node: NodeRef) -> LookupResult:
    return LookupResult("", "", NodeInfo("", node.name, node.address), [])


class RunnerCase(SynchronousTestCase):
    settings = SETTINGS

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.levels: list[LogLevel] = []
        self.lines: list[str] = []
        logger = Logger(namespace="chordnet.node", observer=LogPublisher(self.note))
        self.journal = Journal(self.clock.seconds, "me", logger=logger)
        self.turn = Turn(self.clock, partial(self.journal.failure, NetMetric.TURN_ERRORS))
        self.disk = Disk()
        shared = shared_by(
            self.turn, self.journal, self.clock, wall=lambda: 5000 + self.clock.seconds()
        )
        self.core = Core(shared.me)
        self.core.now_status = Status.ACTIVE
        self.ring = Ring(self.core)
        made: list[Machine] = []

        def make(*arguments: Any) -> Machine:
            made.append(Machine(*arguments))
            return made[0]

        kept = self.disk.open()
        self.store = StoreRunner(shared, self.settings, kept, self.disk, self.ring, make)
        (self.machine,) = made
        self.assertEqual(self.machine.kept, kept)
        self.ended: list[Outcome | ChordnetError] = []

    def tearDown(self) -> None:
        self.store.stop("the test is over")
        self.turn.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def note(self, event: LogEvent) -> None:
        self.levels.append(event["log_level"])
        self.lines.append(formatEvent(event))

    def mail(self, sender: NodeRef = PEER, letter: bytes = b"hello") -> None:
        with self.turn:
            self.store.mailed(sender, letter)

    def tell(self, *effects: NodeEffect) -> None:
        """Have the machine ask for this, for an event that means nothing."""
        self.machine.script = lambda _event: list(effects)
        with self.turn, contextlib.suppress(NoStore):
            self.store.vacate()
        self.machine.script = lambda _event: []
        self.machine.events.clear()

    def ask(self) -> None:
        with self.turn:
            self.store.ask(Get(b"k"), 5.0, self.ended.append)

    def counted(self, metric: NetMetric) -> int:
        return self.journal.counters.number(metric)

    def known(self, *nodes: NodeRef) -> None:
        for node in nodes:
            self.core.nodes[node.raw] = node


class LetterTests(RunnerCase):
    def test_a_letter_that_comes_is_an_event_and_an_answer_goes_to_where_it_came_from(self) -> None:
        self.mail()
        self.assertEqual(self.machine.events, [ev.Mail("n2", b"hello")])
        self.assertEqual(self.machine.times, [(100.0, 5100.0)])
        self.tell(Post("n2", b"a"), Post("n2", b"b"))
        self.assertEqual(self.ring.letters, [(PEER.address, b"a"), (PEER.address, b"b")])
        self.assertEqual(self.ring.lookups, [])

    def test_a_node_that_writes_from_another_address_is_answered_there(self) -> None:
        self.mail()
        self.mail(node_ref("n2", "10.0.0.9:7001", 2))
        self.tell(Post("n2", b"a"))
        self.assertEqual(self.ring.letters, [("10.0.0.9:7001", b"a")])

    def test_letters_for_a_node_not_heard_of_wait_for_one_lookup_and_are_sent_in_order(
        self,
    ) -> None:
        self.known(PEER, OTHER)
        self.tell(Post("n2", b"a"), Post("n3", b"x"), Post("n2", b"b"))
        self.tell(Post("n2", b"c"))
        self.assertEqual([name for name, _done in self.ring.lookups], ["n2", "n3"])
        self.assertEqual(self.ring.letters, [])
        self.ring.lookups[0][1](found(PEER))
        at = PEER.address
        self.assertEqual(self.ring.letters, [(at, b"a"), (at, b"b"), (at, b"c")])
        self.tell(Post("n2", b"d"))
        self.assertEqual(self.ring.letters[3:], [(at, b"d")])
        self.assertEqual(len(self.ring.lookups), 2)
        self.assertEqual(self.machine.events, [])

    def test_a_node_is_not_looked_up_in_the_middle_of_a_step(self) -> None:
        self.machine.script = lambda _event: [Post("n2", b"a")]
        with self.turn:
            self.store.vacate()
            self.assertEqual(self.ring.lookups, [])
        self.assertEqual(len(self.ring.lookups), 1)

    def test_a_name_that_nobody_has_is_lost(self) -> None:
        self.known(PEER, OTHER)
        stranger = node_ref("stranger", "10.0.0.4:7001")
        for name, end in (
            ("n2", found(OTHER)),  # the owner of the name is another node
            ("stranger", found(stranger)),  # nothing more is known of it than that
            ("n3", LookupFailed("no answer")),
        ):
            self.tell(Post(name, b"a"))
            self.ring.lookups.pop()[1](end)
            self.clock.advance(0)
            self.assertEqual(self.machine.events, [ev.Lost(name)])
        self.assertEqual(self.ring.letters, [])

    def test_a_lookup_that_this_node_cannot_make_says_nothing_of_the_other_node(self) -> None:
        for problem in (Busy("many lookups"), NotInRing("leaving")):
            self.tell(Post("n2", b"a"))
            self.ring.lookups.pop()[1](problem)
            self.ring.refuses = problem
            self.tell(Post("n2", b"a"))
            self.ring.refuses = None
        self.assertEqual((self.machine.events, self.ring.letters), ([], []))
        self.tell(Post("n2", b"b"))  # and it is tried again
        self.known(PEER)
        self.ring.lookups.pop()[1](found(PEER))
        self.assertEqual(self.ring.letters, [(PEER.address, b"b")])

    def test_letters_that_wait_are_a_mebibyte_in_all_and_what_is_more_is_dropped(self) -> None:
        self.known(PEER, OTHER)
        half = b"." * (1 << 19)
        self.tell(Post("n2", half), Post("n3", half[1:]), Post("n3", b"xy"), Post("n9", b"xy"))
        self.tell(Post("n2", b"z"))
        self.tell(Post("n2", b"y"), Post("n9", b"y"))
        self.assertEqual([name for name, _done in self.ring.lookups], ["n2", "n3"])
        self.ring.lookups[0][1](found(PEER))
        self.ring.lookups[1][1](found(OTHER))
        sizes = [(at, len(letter)) for at, letter in self.ring.letters]
        self.assertEqual(
            sizes, [(PEER.address, 1 << 19), (PEER.address, 1), (OTHER.address, (1 << 19) - 1)]
        )
        # All of the room is free again, and no more than all.
        self.tell(Post("n9", half), Post("n8", half), Post("n7", b"z"))
        self.assertEqual([name for name, _done in self.ring.lookups[2:]], ["n9", "n8"])

    def test_the_nodes_remembered_are_4096_and_the_one_not_heard_of_for_longest_goes(self) -> None:
        refs = [node_ref(f"node {number}", f"10.1.0.1:{number + 1}") for number in range(4096)]
        for ref in refs:
            self.mail(ref)
        self.mail(refs[0])
        self.mail()
        self.tell(Post("node 0", b"a"), Post("node 1", b"b"), Post("node 2", b"c"))
        self.assertEqual([letter for _at, letter in self.ring.letters], [b"a", b"c"])
        self.assertEqual([name for name, _done in self.ring.lookups], ["node 1"])
        self.known(refs[1])
        self.ring.lookups[0][1](found(refs[1]))
        self.tell(Post("node 2", b"d"))
        self.assertEqual([name for name, _done in self.ring.lookups], ["node 1", "node 2"])


class RingTests(RunnerCase):
    def neighbours(self, *events: object) -> None:
        self.clock.advance(0)
        self.assertEqual(self.machine.events, list(events))
        self.machine.events.clear()

    def test_the_place_in_the_ring_is_told_when_it_has_changed_and_without_this_node(self) -> None:
        self.core.now_status = Status.JOINING
        self.store.moved()
        self.neighbours(ev.Neighbours(False, None, ()))
        self.store.moved()
        self.neighbours()
        for status in (Status.ACTIVE, Status.LEAVING):
            self.core.now_status = status
            self.core.predecessor = PEER if status is Status.ACTIVE else self.core.me
            self.core.successors = [OTHER, PEER, self.core.me]
            self.store.moved()
            before = "n2" if status is Status.ACTIVE else None
            self.neighbours(ev.Neighbours(True, before, ("n3", "n2")))
        self.core.now_status = Status.LEFT
        self.store.moved()
        self.neighbours(ev.Neighbours(False, None, ("n3", "n2")))

    def test_the_effects_of_the_ring_are_performed_first_and_then_heeded(self) -> None:
        done: list[object] = []
        seen: list[int] = []

        def perform(effect: object) -> None:
            done.append(effect)
            seen.append(len(self.machine.events))

        kinds = (RingChanged, StatusChanged, Joined, PeerDied, Mailed, int)
        performers = self.store.performing(dict.fromkeys(kinds, perform))
        self.assertEqual(set(performers), set(kinds))
        effects = [
            RingChanged(None, [], None),
            StatusChanged(Status.JOINING, Status.ACTIVE),
            Joined(),
            PeerDied(PEER),
            7,
        ]
        for number, effect in enumerate(effects):
            self.core.successors = [OTHER] * number
            performers[type(effect)](effect)
            self.clock.advance(0)
        self.assertEqual(done, effects)
        self.assertEqual(seen, [0, 1, 2, 3, 4])
        views = [ev.Neighbours(True, None, ("n3",) * number) for number in range(3)]
        self.assertEqual(self.machine.events, [*views, ev.Lost("n2")])
        performers[Mailed](Mailed(PEER, b"a"))
        self.clock.advance(0)
        self.assertEqual(self.machine.events[4:], [ev.Mail("n2", b"a")])
        self.assertEqual(done, effects)

    def test_a_node_that_is_dead_is_lost_and_looked_up_again(self) -> None:
        self.mail()
        performers = self.store.performing(
            dict.fromkeys((RingChanged, StatusChanged, Joined, PeerDied), lambda _effect: None)
        )
        performers[PeerDied](PeerDied(PEER))
        self.clock.advance(0)
        self.assertEqual(self.machine.events[1:], [ev.Lost("n2")])
        self.tell(Post("n2", b"a"))
        self.assertEqual(len(self.ring.lookups), 1)

    def test_a_node_that_cannot_be_reached_is_lost_but_one_with_a_broken_link_is_not(self) -> None:
        heard: list[tuple[Any, ...]] = []
        down = self.store.heeding(lambda *arguments: heard.append(arguments))
        lost = {LinkFault.REFUSED, LinkFault.REJECTED, LinkFault.UNREACHABLE}
        for fault in LinkFault:
            self.mail()
            self.machine.events.clear()
            down(PEER, fault, "why", "holder")
            self.assertEqual(heard.pop(), (PEER, fault, "why", "holder"))
            self.neighbours(*([ev.Lost("n2")] if fault in lost else []))
            self.tell(Post("n2", b"a"))
            self.assertEqual(len(self.ring.lookups), fault in lost)
            for _name, done in self.ring.lookups:
                done(Busy("many lookups"))
            self.ring.lookups.clear()
        down(PEER, LinkFault.REFUSED)
        self.assertEqual(heard, [(PEER, LinkFault.REFUSED, "", "")])

    def test_an_address_that_cannot_be_reached_is_no_node_that_is_lost(self) -> None:
        self.store.heeding(lambda *_arguments: None)(
            NodeRef(b"", 0, "10.0.0.2:7001", ""), LinkFault.REFUSED
        )
        self.neighbours()

    def test_seats_are_given_up_on_request(self) -> None:
        self.store.vacate()
        self.neighbours(ev.Vacate())


class AskTests(RunnerCase):
    settings = StoreSettings(network="default", bits=160, founders=("a", "b"))

    def test_operations_have_numbers_of_their_own_and_each_is_answered_once(self) -> None:
        self.ask()
        other: list[object] = []
        self.store.ask(Get(b"q"), 7.5, other.append)
        self.clock.advance(0)
        self.assertEqual(
            self.machine.events, [ev.Ask(1, Get(b"k"), 5.0), ev.Ask(2, Get(b"q"), 7.5)]
        )
        self.tell(Answered(2, ENDED), Answered(2, ENDED), Answered(3, ENDED))
        self.assertEqual((self.ended, other), ([], [ENDED]))
        self.tell(Answered(1, ENDED))
        self.assertEqual(self.ended, [ENDED])

    def test_an_operation_may_be_answered_before_asking_returns(self) -> None:
        self.machine.script = lambda _event: [Answered(1, ENDED)]
        self.ask()
        self.assertEqual(self.ended, [ENDED])

    def test_without_a_store_that_has_begun_it_is_said_who_the_founders_are(self) -> None:
        self.machine.belongs = None
        with self.assertRaises(NoStore) as caught:
            self.ask()
        self.assertEqual(str(caught.exception), "the store has not begun: its founders are a, b")
        self.assertEqual(self.machine.events, [])

    def test_4096_operations_are_under_way_at_most(self) -> None:
        for _ in range(4096):
            self.ask()
        with self.assertRaises(Busy) as caught:
            self.ask()
        self.assertEqual(
            str(caught.exception), "4096 operations on keys are in flight; retry in a moment"
        )
        self.tell(Answered(77, ENDED))
        self.ask()
        self.assertEqual(len(self.ended), 1)
        self.assertEqual(self.machine.events, [ev.Ask(4097, Get(b"k"), 5.0)])

    def test_the_slot_of_a_key_is_told_once_there_is_a_store(self) -> None:
        self.assertEqual(self.store.founding, FOUNDING)
        self.assertEqual(self.store.slot_of(b"k"), Slots(160, 16).of(b"k"))
        self.machine.belongs = None
        self.assertIsNone(self.store.founding)
        self.assertIsNone(self.store.slot_of(b"k"))

    def test_a_node_that_keeps_no_store_at_all_says_so(self) -> None:
        shared = shared_by(self.turn, self.journal, self.clock)
        keys = Keys(shared, None, check_member=lambda: None, load=Load(100))
        with self.assertRaises(NoStore) as caught:
            keys.ask(GetKey(0, "k", 1.0), lambda _result: None)
        self.assertEqual(
            str(caught.exception),
            "this node keeps no store; start its founders with --founders a,b,c or"
            " type p2pnet store begin",
        )


class KeepTests(RunnerCase):
    def test_letters_and_answers_wait_for_the_commit_that_they_rest_on(self) -> None:
        self.mail()
        self.ask()
        self.machine.script = lambda _event: [
            Post("n2", b"before"),
            Keep((AllDropped(1),)),
            Post("n2", b"after"),
            Answered(1, ENDED),
        ]
        at_commit: list[tuple[int, int]] = []
        self.disk.noted = lambda: at_commit.append((len(self.ring.letters), len(self.ended)))
        with self.turn:
            self.store.vacate()
        self.assertEqual(at_commit, [(1, 0)])
        self.assertEqual(self.ring.letters, [(PEER.address, b"before"), (PEER.address, b"after")])
        self.assertEqual((self.ended, self.disk.commits), ([ENDED], 1))

    def test_what_rests_on_a_commit_that_failed_never_leaves(self) -> None:
        self.mail()
        self.known(OTHER)
        self.ask()
        self.disk.broken = FULL
        self.tell(Keep((AllDropped(1),)), Post("n2", b"a"), Post("n3", b"b"), Answered(1, ENDED))
        self.assertEqual((self.ring.letters, self.ring.lookups), ([], []))
        (error,) = self.ended
        self.assertIsInstance(error, StoreFailed)
        self.assertEqual(str(error), STOPPED)

    def test_a_store_that_fails_is_logged_and_counted_once_and_refuses_everything(self) -> None:
        self.ask()
        self.machine.due = 101.0
        self.disk.broken = FULL
        self.assertEqual(self.store.failed, "")
        self.tell(Keep((AllDropped(1),)))
        self.assertEqual(self.store.failed, FULL)
        self.assertEqual([str(error) for error in self.ended], [STOPPED])
        self.tell(Keep((AllDropped(1),)))
        self.assertEqual(self.lines, [f"me: the store of this node has stopped: {FULL}"])
        self.assertEqual(self.levels, [LogLevel.error])
        self.assertEqual(self.counted(NetMetric.STORE_FAILURES), 1)
        self.assertEqual(NetMetric.STORE_FAILURES.row.name, "store_failures")
        with self.assertRaises(NoStore) as caught:
            self.ask()
        self.assertEqual(str(caught.exception), STOPPED)
        self.mail()
        self.store.moved()
        self.assertEqual(self.machine.events, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_who_wait_are_told_after_the_commit_that_failed(self) -> None:
        told: list[str] = []
        self.turn.join(Keeper(told))
        self.store.ask(Get(b"k"), 5.0, lambda error: told.append(type(error).__name__))
        self.disk.broken = FULL
        self.tell(Keep((AllDropped(1),)))
        self.assertEqual(told, ["commit", "committed", "StoreFailed"])

    def test_a_timer_in_whose_turn_the_store_fails_sets_no_other(self) -> None:
        self.machine.script = lambda _event: [Keep((AllDropped(1),))]
        self.machine.due = 101.0
        self.store.moved()
        self.clock.advance(0)
        self.disk.broken = FULL
        self.clock.advance(1)
        self.assertEqual(self.store.failed, FULL)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TimerTests(RunnerCase):
    def ticks(self) -> int:
        return sum(isinstance(event, ev.Tick) for event in self.machine.events)

    def test_the_timer_rings_at_the_deadline_and_again_at_the_next(self) -> None:
        def script(event: ev.Event) -> list[NodeEffect]:
            if isinstance(event, ev.Tick):
                assert self.machine.due is not None
                self.machine.due += 2
            return []

        self.machine.script = script
        self.machine.due = 101.5
        self.store.moved()
        self.clock.advance(0)
        self.assertEqual(self.machine.times, [(100.0, 5100.0)])
        for at, ticks in ((101.4, 0), (101.5, 1), (103.4, 1), (103.5, 2)):
            self.clock.advance(at - self.clock.seconds())
            self.assertEqual(self.ticks(), ticks, at)

    def test_an_earlier_deadline_moves_the_timer_and_a_later_one_does_not(self) -> None:
        for due, at in ((110.0, 110.0), (105.0, 105.0), (107.0, 105.0), (99.0, 100.0)):
            self.machine.due = due
            with self.turn:
                self.store.vacate()
            (call,) = self.clock.getDelayedCalls()
            self.assertEqual(call.getTime(), at)

    def test_the_exact_deadline_is_looked_at_only_if_it_may_be_earlier(self) -> None:
        self.store.vacate()
        self.clock.advance(0)
        self.assertEqual(self.machine.looked, 0)
        for due, looked in ((105.0, 1), (105.0, 1), (106.0, 1), (104.0, 2)):
            self.machine.due = due
            self.store.vacate()
            self.clock.advance(0)
            self.assertEqual(self.machine.looked, looked)

    def test_at_the_timer_the_disk_is_kept_tidy_after_the_turn(self) -> None:
        self.machine.due = 101.0
        self.store.vacate()
        self.clock.advance(0)
        self.machine.due = None
        self.disk.waiting = 200
        self.clock.advance(0.5)
        self.assertEqual(self.disk.checkpoints, 0)
        self.clock.advance(0.5)
        self.assertEqual((self.disk.checkpoints, self.ticks()), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_happens_in_a_step_is_handled_after_it_in_order(self) -> None:
        order: list[str] = []

        def script(event: ev.Event) -> list[NodeEffect]:
            order.append(type(event).__name__)
            if isinstance(event, ev.Mail):
                self.store.vacate()
                self.store.moved()
            order.append("over")
            return []

        self.machine.script = script
        self.mail()
        self.assertEqual(order, ["Mail", "over"])
        self.clock.advance(0)
        self.assertEqual(order[2:], ["Vacate", "over", "Neighbours", "over"])

    def test_what_one_turn_brings_is_handled_together_at_its_end(self) -> None:
        with self.turn:
            self.store.mailed(PEER, b"one")
            self.store.mailed(OTHER, b"two")
            self.assertEqual(self.machine.events, [])
        self.assertEqual([type(each) for each in self.machine.events], [ev.Mail, ev.Mail])

    def test_a_turn_handles_so_much_and_the_next_one_goes_on_in_order(self) -> None:
        with self.turn:
            for number in range(2 * AT_ONCE + 1):
                self.store.mailed(PEER, b"%d" % number)
        self.assertEqual(self.machine.batches, [AT_ONCE])
        self.clock.advance(0)
        self.assertEqual(self.machine.batches, [AT_ONCE, AT_ONCE, 1])
        letters = [each.letter for each in self.machine.events if isinstance(each, ev.Mail)]
        self.assertEqual(letters, [b"%d" % number for number in range(2 * AT_ONCE + 1)])

    def test_a_stop_leaves_nothing_of_what_was_too_much_for_a_turn(self) -> None:
        with self.turn:
            for _ in range(AT_ONCE + 1):
                self.store.mailed(PEER, b"a")
        self.store.stop("over")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_exception_of_the_machine_is_logged_and_counted_and_stops_the_store(self) -> None:
        def script(_event: ev.Event) -> list[NodeEffect]:
            raise ValueError("a slip")

        self.machine.script = script
        self.mail()
        self.assertIn("the store failed on Mail", self.lines[0])
        self.assertEqual(self.counted(NetMetric.CORE_ERRORS), 1)
        self.assertEqual(self.counted(NetMetric.STORE_FAILURES), 1)
        self.assertEqual(self.store.failed, "its protocol has failed; the log says where")
        self.tell(Post("n2", b"a"))
        self.assertEqual(self.ring.letters, [])

    def test_a_disk_that_does_not_fit_its_node_is_why_there_is_no_store(self) -> None:
        self.machine.misfit = "this disk is another node's"
        self.machine.belongs = None
        with self.assertRaises(NoStore) as caught:
            self.ask()
        self.assertEqual(str(caught.exception), "this disk is another node's")

    def test_what_the_store_notes_is_in_the_log_and_an_alarm_is_a_warning(self) -> None:
        self.tell(Noted("fine {it}"), Noted("trouble", alarming=True))
        self.assertEqual(self.lines, ["me: fine {it}", "me: trouble"])
        self.assertEqual(self.levels, [LogLevel.info, LogLevel.warn])


class EndTests(RunnerCase):
    def test_a_stop_answers_what_waits_and_leaves_no_timer(self) -> None:
        self.ask()
        self.ask()
        self.machine.due = 110.0
        with self.turn:
            self.store.vacate()
        self.store.stop("the node is shutting down")
        self.assertEqual([type(each) for each in self.ended], [NotInRing, NotInRing])
        self.assertEqual(str(self.ended[0]), "the node is shutting down")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_stop_nothing_is_handled_and_no_timer_is_set(self) -> None:
        self.machine.due = 110.0
        self.store.stop("over")
        self.mail()
        self.assertEqual(self.machine.events, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_in_the_middle_of_a_step_drops_the_events_that_wait(self) -> None:
        def script(_event: ev.Event) -> list[NodeEffect]:
            self.store.vacate()
            self.machine.due = 110.0
            self.store.stop("over")
            return [Answered(1, ENDED)]

        self.machine.script = script
        self.ask()
        self.assertEqual(len(self.machine.events), 1)
        self.assertEqual([type(each) for each in self.ended], [NotInRing])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_lookup_that_ends_after_the_stop_does_nothing(self) -> None:
        self.known(PEER)
        self.tell(Post("n2", b"a"))
        self.store.stop("over")
        self.ring.lookups[0][1](NotInRing("over"))
        self.assertEqual((self.machine.events, self.ring.letters), ([], []))


class MachineTests(RunnerCase):
    def test_the_machine_is_made_for_this_node_with_randomness_of_its_own(self) -> None:
        self.assertEqual(self.machine.name, "me")
        self.assertEqual(self.machine.settings, SETTINGS)
        expected = random.Random(random.Random(1).getrandbits(64))
        self.assertEqual(self.machine.rng.random(), expected_after_machine(expected))

    def test_a_node_that_knows_no_founders_says_how_a_store_begins(self) -> None:
        self.machine.belongs = None
        with self.assertRaises(NoStore) as caught:
            self.ask()
        self.assertEqual(
            str(caught.exception),
            "me has met no store yet, so ask again in a moment, or begin one: start its founders"
            " with --founders a,b,c or type p2pnet store begin",
        )


def expected_after_machine(rng: random.Random) -> float:
    """Return what comes after the number that the machine itself has drawn."""
    rng.getrandbits(40)
    rng.getrandbits(60)  # for the life of the disk
    rng.randbytes(16)  # for its secret
    return rng.random()
