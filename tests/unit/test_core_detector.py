"""Suspicion, proof of life, death: each told once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef, Ping, contact
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.detector import MAX_PROBES
from tests.unit.core_support import Parts, ref, sent, targets


class DetectorTests(SynchronousTestCase):
    def setUp(self):
        self.parts = Parts(10, probe_interval_s=0.4, probe_timeout_s=1.5, broken_timeout_s=0.7)
        self.ctx, self.detector = self.parts.ctx, self.parts.detector

    def pass_time(self, until: float) -> None:
        while (at := self.ctx.alarms.next()) is not None and at <= until:
            self.ctx.now = at
            self.ctx.alarms.due(at)
            self.detector.tick()
        self.ctx.now = until

    def test_suspicion_pings_at_once_and_is_told(self):
        self.detector.suspect(ref(20))
        self.assertEqual(targets(self.ctx, Ping), [20])
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])
        self.assertTrue(self.detector.probes)
        self.assertTrue(self.detector.suspects(ref(20).raw))

    def test_a_probe_pings_until_its_time_is_up_then_the_peer_is_dead(self):
        self.detector.suspect(ref(20))
        self.pass_time(1.49)
        self.assertEqual(targets(self.ctx, Ping), [20] * 4, "at 0, 0.4, 0.8 and 1.2 s")
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])
        self.pass_time(5.0)
        self.assertEqual(self.parts.verdicts, [("suspected", 20), ("died", 20)])
        self.assertTrue(self.ctx.peers.is_dead(ref(20), self.ctx.now))
        self.assertFalse(self.detector.probes)
        self.assertIsNone(self.ctx.alarms.next())

    def test_any_message_is_proof_of_life(self):
        self.detector.suspect(ref(20))
        self.detector.heard(ref(20))
        self.pass_time(5.0)
        self.assertEqual(self.parts.verdicts, [("suspected", 20), ("survived", 20)])

    def test_the_word_of_an_older_incarnation_proves_nothing(self):
        self.detector.suspect(ref(20, 2))
        self.detector.heard(ref(20, 1))
        self.assertTrue(self.detector.suspects(ref(20).raw))

    def test_being_heard_without_suspicion_is_no_news(self):
        self.detector.heard(ref(20))
        self.detector.suspect(ref(30))
        self.detector.heard(ref(20))
        self.assertEqual(self.parts.verdicts, [("suspected", 30)])

    def test_a_broken_connection_shortens_the_wait(self):
        self.detector.link_down(ref(20), LinkFault.BROKEN)
        self.pass_time(0.69)
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])
        self.pass_time(0.71)
        self.assertEqual(self.parts.verdicts[-1], ("died", 20))

    def test_a_break_during_a_probe_shortens_and_never_prolongs_it(self):
        self.detector.suspect(ref(20))
        self.pass_time(0.1)
        self.detector.link_down(ref(20), LinkFault.BROKEN)
        self.pass_time(0.7)
        self.detector.suspect(ref(20))
        self.pass_time(0.79)
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])
        self.pass_time(0.81)
        self.assertEqual(self.parts.verdicts, [("suspected", 20), ("died", 20)])

    def test_each_fault_of_a_connection_means_suspicion_or_death(self):
        expected = {
            LinkFault.BROKEN: "suspected",
            LinkFault.UNREACHABLE: "suspected",
            LinkFault.CLOSED: "suspected",
            LinkFault.REFUSED: "died",
            LinkFault.REJECTED: "died",
        }
        for number, (fault, word) in enumerate(expected.items()):
            self.parts.told.clear()
            self.detector.link_down(ref(20 + number), fault)
            self.assertEqual(self.parts.verdicts, [(word, 20 + number)], fault.name)

    def test_a_slow_reader_is_neither_suspected_nor_dead(self):
        self.detector.link_down(ref(20), LinkFault.OVERLOADED)
        self.assertEqual(self.parts.verdicts, [])

    def test_death_is_told_once(self):
        self.detector.condemn(ref(20))
        self.detector.condemn(ref(20))
        self.detector.link_down(ref(20), LinkFault.REFUSED)
        self.detector.suspect(ref(20))
        self.assertEqual(self.parts.verdicts, [("died", 20)])
        self.assertEqual(sent(self.ctx), [])
        self.assertEqual(self.ctx.counters.number(CoreMetric.DEATHS), 1)

    def test_a_later_incarnation_can_die_again(self):
        self.detector.condemn(ref(20, 1))
        self.detector.condemn(ref(20, 2))
        self.assertEqual(self.parts.verdicts, [("died", 20), ("died", 20)])

    def test_nobody_suspects_himself_or_a_contact(self):
        for peer in (ref(10), contact("n20:1")):
            self.detector.suspect(peer)
            self.detector.condemn(peer)
        self.assertEqual(self.parts.verdicts, [])
        self.assertEqual(sent(self.ctx), [])

    def test_one_peer_is_probed_once_at_a_time(self):
        for _ in range(5):
            self.detector.suspect(ref(20))
        self.assertEqual(targets(self.ctx, Ping), [20])
        self.assertEqual(self.ctx.counters.number(CoreMetric.PROBES), 1)

    def test_probes_of_several_peers_keep_their_own_time(self):
        self.detector.suspect(ref(20))
        self.pass_time(0.5)
        self.detector.suspect(ref(30))
        self.pass_time(1.6)
        self.assertEqual(self.parts.verdicts[-1], ("died", 20))
        self.pass_time(2.1)
        self.assertEqual(self.parts.verdicts[-1], ("died", 30))

    def test_probes_are_capped(self):
        for n in range(MAX_PROBES + 5):
            self.detector.suspect(NodeRef(n.to_bytes(2), 1, f"h:{n}"))
        self.assertEqual(len(self.detector.probes), MAX_PROBES)
