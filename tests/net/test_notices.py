"""What the operator's log says of a node's life, and what the embedding program is called with."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import (
    Misbehaved,
    PeerDied,
    PeersKnown,
    RingChanged,
    SealRefused,
    StatusChanged,
    Traced,
    TraceKind,
)
from chordnet.core.base.messages import MessageId, NodeRef, Status, contact
from chordnet.core.base.outcomes import Fault
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.observe.hooks import EVENTS, Hooks
from chordnet.net.observe.notices import Notices
from chordnet.net.observe.traces import Traces
from tests.net.hosts import node_ref

ME = node_ref("me", "10.0.0.1:7001")
ONE, TWO, THREE = (node_ref(f"n{n}", f"10.0.0.{n}:7001") for n in (2, 3, 4))
ID = MessageId(ONE.raw, 1, 7)


class NoticesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[tuple[str, str]] = []
        logger = Logger(namespace="chordnet.node", observer=LogPublisher(self.write))
        self.journal = Journal(self.clock.seconds, "me", logger=logger)
        self.turn = Turn(self.clock, self.fail)
        self.hooks = Hooks(self.journal)
        self.traces = Traces(64)
        self.kept: list[list[NodeRef]] = []
        self.heard: list[Any] = []
        self.notices = Notices(
            ME, turn=self.turn, journal=self.journal, hooks=self.hooks, traces=self.traces,
            keep_peers=self.kept.append, wall=lambda: 1000.5,
        )  # fmt: skip

    def write(self, event: dict[str, Any]) -> None:
        self.lines.append((event["log_level"].name, formatEvent(event)))

    def listen(self) -> None:
        for kind in EVENTS:
            self.hooks.on(kind, self.heard.append)


class LogTests(NoticesCase):
    def test_a_state_is_logged_with_the_one_before_and_as_a_warning_if_something_is_wrong(self):
        self.notices.status_changed(StatusChanged(Status.JOINING, Status.ACTIVE))
        self.notices.status_changed(StatusChanged(Status.ACTIVE, Status.SEEKING, "all are dead"))
        self.assertEqual(
            self.lines,
            [
                ("info", "me: is active (was joining)"),
                ("warn", "me: is seeking (was active): all are dead"),
            ],
        )

    def test_the_neighbours_are_logged_when_one_of_them_has_changed_and_only_then(self):
        changes: list[tuple[NodeRef | None, list[NodeRef]]] = [
            (ONE, [TWO, THREE]), (ONE, [TWO]), (ONE, [THREE]), (TWO, [THREE]), (None, []),
        ]  # fmt: skip
        for before, successors in changes:
            self.notices.ring_changed(RingChanged(before, successors, None))
        self.assertEqual(
            self.lines,
            [
                ("info", "me: stands between n2 and n3"),
                ("info", "me: stands between n2 and n4"),
                ("info", "me: stands between n3 and n4"),
                ("info", "me: stands between nobody and me"),
            ],
        )

    def test_a_node_that_other_machines_do_not_reach_says_once_that_its_ring_extends_to_them(self):
        here = node_ref("here", "127.0.0.1:7002")
        for own, warned in (("127.0.0.1:7001", True), ("10.0.0.1:7001", False)):
            self.lines.clear()
            notices = Notices(
                node_ref("me", own), turn=self.turn, journal=self.journal, hooks=self.hooks,
                traces=self.traces, keep_peers=self.kept.append, wall=lambda: 1000.5,
            )  # fmt: skip
            for before, after in ((None, here), (here, ONE), (TWO, THREE)):
                notices.ring_changed(RingChanged(before, [after], None))
            text = (
                "me: n2 is at 10.0.0.2:7001, and other machines do not reach this node at"
                " 127.0.0.1:7001: have it listen for them, with an identity or with --insecure"
            )
            self.assertEqual(self.lines.count(("warn", text)), int(warned))
            self.assertEqual(len([each for each in self.lines if each[0] == "warn"]), int(warned))

    def test_a_death_and_a_departure_are_told_apart_and_who_has_no_name_is_named_by_address(self):
        self.notices.peer_died(PeerDied(ONE))
        self.notices.peer_died(PeerDied(ONE, left=True))
        self.notices.peer_died(PeerDied(contact("10.0.0.9:7001")))
        self.assertEqual(
            self.lines,
            [
                ("info", "me: n2 is dead"),
                ("info", "me: n2 has left"),
                ("info", "me: 10.0.0.9:7001 is dead"),
            ],
        )

    def test_who_broke_a_rule_is_counted_and_warned_of_with_at_most_200_letters(self):
        self.notices.misbehaved(Misbehaved(ONE, "x" * 300))
        self.notices.misbehaved(Misbehaved(contact("10.0.0.9:7001"), "it lies"))
        self.assertEqual(
            self.lines,
            [
                ("warn", f"me: n2 broke a rule: {'x' * 200}"),
                ("warn", "me: 10.0.0.9:7001 broke a rule: it lies"),
            ],
        )
        self.assertEqual(self.journal.counters.number(NetMetric.MISBEHAVED), 2)

    def test_a_seal_that_is_refused_without_blame_is_one_line_that_names_origin_and_sender(self):
        fault = Fault.SEAL_REVOKED
        self.notices.seal_refused(SealRefused(ONE, ID, fault))
        origin = ID.origin.hex()[:16]
        line = (
            f"me: a message of {origin}, passed on by n2, was not recorded: its origin's"
            " certificate is revoked"
        )
        self.assertEqual(self.lines, [("warn", line)])
        self.assertEqual(self.journal.counters.number(NetMetric.SEALS_TOLD), 1)

    def test_what_befell_a_broadcast_is_counted_by_kind_and_kept_with_its_time(self):
        self.notices.traced(Traced(ID, 1, TraceKind.LOST_CHILD, TWO))
        self.notices.traced(Traced(ID, 1, TraceKind.LOST_CHILD, THREE))
        self.assertEqual(self.journal.counters.named(), {"broadcast_lost_child": 2})
        found = [(each.at, each.what, each.peer) for each in self.traces.of(ID)]
        self.assertEqual(
            found,
            [(1000.5, TraceKind.LOST_CHILD, TWO), (1000.5, TraceKind.LOST_CHILD, THREE)],
        )
        self.assertEqual(self.lines, [])


class CallbackTests(NoticesCase):
    def test_each_notice_is_called_back_with_once_and_after_what_the_turn_sends(self):
        self.listen()
        told = [
            StatusChanged(Status.JOINING, Status.ACTIVE),
            RingChanged(ONE, [TWO], None),
            PeerDied(ONE),
            PeersKnown([ONE, TWO]),
            Traced(ID, 1, TraceKind.LOST_CHILD, TWO),
            Misbehaved(ONE, "it lies"),
        ]
        notices = self.notices
        with self.turn:
            for perform, effect in zip(
                (
                    notices.status_changed, notices.ring_changed, notices.peer_died,
                    notices.peers_known, notices.traced, notices.misbehaved,
                ),
                told,
                strict=True,
            ):  # fmt: skip
                perform(effect)  # type: ignore[operator]
            self.assertEqual(self.heard, [])
        self.assertEqual(self.heard, told)
        self.assertEqual(self.kept, [[ONE, TWO]])

    def test_where_nobody_listens_no_turn_is_begun_for_it(self):
        self.notices.peer_died(PeerDied(ONE))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SlowCallbackTests(NoticesCase):
    def setUp(self) -> None:
        super().setUp()
        self.gates: list[Deferred[None]] = []

        async def callback(event: PeerDied) -> None:
            self.heard.append(event.peer.incarnation)
            gate: Deferred[None] = Deferred()
            self.gates.append(gate)
            await gate

        self.subscription = self.hooks.on(PeerDied, callback)

    def fire(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.hooks.fire(PeerDied(node_ref("n2", "10.0.0.2:7001", number)))

    def finish_all(self) -> None:
        while self.gates:
            self.gates.pop().callback(None)

    def test_256_events_may_wait_and_come_in_their_order(self):
        self.fire(1, 257)
        self.assertEqual(self.heard, [1])
        self.finish_all()
        self.assertEqual(self.heard, list(range(1, 258)))
        self.assertEqual((self.lines, self.journal.counters.named()), ([], {}))

    def test_a_257th_event_that_waits_ends_the_subscription_with_an_error_in_the_log(self):
        self.fire(1, 258)
        self.assertFalse(self.hooks.wanted(PeerDied))
        self.fire(259, 300)
        text = (
            "me: a callback for PeerDied has fallen 256 events behind and is no longer called; "
            "subscribe with since=..., which reads as fast as the callback goes"
        )
        self.assertEqual(self.lines, [("error", text)])
        self.assertEqual(self.journal.counters.named(), {"callback_errors": 1})
        self.finish_all()
        self.assertEqual(self.heard, [1])

    def test_a_subscription_stopped_twice_is_called_no_more_and_the_others_still_are(self):
        others: list[Any] = []
        self.hooks.on(PeerDied, others.append)
        self.fire(1, 3)
        self.subscription.stop()
        self.subscription.stop()
        self.finish_all()
        self.fire(4, 4)
        self.assertEqual((self.heard, len(others)), ([1], 4))
        self.assertTrue(self.hooks.wanted(PeerDied))
