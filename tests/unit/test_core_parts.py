"""The parts of a node (chordnet/core/parts.py), and the tables made of what they declare."""

from __future__ import annotations

from random import Random
from typing import ClassVar, get_args

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core import parts
from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Status
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import EventHandlers, Handlers, Hearers, Ringers
from chordnet.core.kernel.membership import HEEDED
from chordnet.core.kernel.signals import DIED, ENTERED, SIGNALS
from chordnet.core.kernel.timers import Alarm
from chordnet.core.node import ChordNode
from chordnet.core.parts import PARTS, Part
from tests.unit.core_support import place, ref
from tests.unit.test_core_broadcast import bcast


class Probe:
    """A part that is added as a developer would: a file of its own, and one line in ``PARTS``."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def begin(self, event: ev.Begin) -> None:
        self.seen.append(event)

    def on_notify(self, sender: msg.NodeRef, message: msg.Notify) -> None:
        self.seen.append((sender.name, type(message)))

    def ring(self) -> None:
        self.seen.append("rang")

    def died(self, peer: msg.NodeRef) -> None:
        self.seen.append(("died", peer.name))

    EVENTS: ClassVar[EventHandlers] = {ev.Begin: begin}
    MESSAGES: ClassVar[Handlers] = {msg.Notify: on_notify}
    ALARMS: ClassVar[Ringers] = {Alarm.JOIN: ring}
    HEARS: ClassVar[Hearers] = {DIED: died}


class Node:
    """What the tables ask of a node."""

    def __init__(self, status: Status) -> None:
        self.ctx = Context(ProtocolConfig(bits=6), ref(10), Random(0))
        self.ctx.set_status(status)
        self.probe = Probe()


LINE = Part("probe", Probe, lambda _node: Probe())


class PartTests(SynchronousTestCase):
    def test_one_line_brings_all_that_a_new_part_declares_to_it(self) -> None:
        node = Node(Status.ACTIVE)
        name, begin = parts.events([LINE], {})[ev.Begin]
        begin(getattr(node, name), ev.Begin())
        name, notify, _states = parts.messages([LINE])[msg.Notify]
        notify(getattr(node, name), ref(5), msg.Notify())
        name, ring = parts.alarms([LINE], {})[Alarm.JOIN]
        ring(getattr(node, name))
        for name, hear in parts.hearers([LINE], {})[DIED]:
            hear(getattr(node, name), ref(7))
        found = [ev.Begin(), ("n5", msg.Notify), "rang", ("died", "n7")]
        self.assertEqual(node.probe.seen, found)

    def test_a_new_part_hears_a_signal_after_those_whose_order_is_laid_down(self) -> None:
        before = len(parts.hearers(PARTS, {})[DIED])
        heard = parts.hearers([LINE, *PARTS], {})[DIED]
        self.assertEqual(len(heard), before + 1)
        self.assertEqual(heard[-1], ("probe", Probe.died))

    def test_those_who_hear_a_signal_are_told_in_the_order_laid_down(self) -> None:
        called: list[str] = []

        def named(name: str) -> Part:
            def hear(_part: object) -> None:
                called.append(name)

            return Part(name, type(name, (), {"HEARS": {ENTERED: hear}}), lambda _node: None)

        names = parts.ORDER[ENTERED]
        several = [named(name) for name in ("late", *sorted(names, reverse=True))]

        def own(_node: object) -> None:
            called.append("the node")

        for _name, hear in parts.hearers(several, {ENTERED: own})[ENTERED]:
            hear(None)
        self.assertEqual(called, ["the node", *names, "late"])

    def test_every_signal_is_heard_and_no_order_names_a_part_that_does_not_hear_it(self) -> None:
        kinds = {part.name: part.kind for part in PARTS}
        for signal in SIGNALS:
            self.assertTrue(ChordNode._hearers[signal], signal)
            for name in parts.ORDER.get(signal, ()):
                self.assertIn(signal, kinds[name].HEARS, f"{name}, {signal}")
        for part in PARTS:
            self.assertLessEqual(set(getattr(part.kind, "HEARS", {})), set(SIGNALS), part.name)

    def test_of_the_parts_that_hear_one_signal_the_order_is_laid_down(self) -> None:
        for signal in SIGNALS:
            hearing = [p.name for p in PARTS if signal in getattr(p.kind, "HEARS", {})]
            if len(hearing) > 1:
                self.assertEqual(set(parts.ORDER.get(signal, ())), set(hearing), signal)

    def test_every_event_is_taken(self) -> None:
        self.assertEqual(set(ChordNode._on_event), set(get_args(ev.Event)))

    def test_the_states_of_a_message_are_looked_at_unless_it_is_taken_in_each(self) -> None:
        table = parts.messages(PARTS)
        for kind, states in HEEDED.items():
            always = states == frozenset(Status)
            self.assertEqual(table[kind][2], None if always else states, kind.__name__)

    def test_a_message_is_dropped_in_the_states_in_which_it_is_not_heeded(self) -> None:
        for status in Status:
            node = ChordNode(ProtocolConfig(bits=6), ref(10), Random(0))
            place(node, 5, [20, 30], None)
            node.ctx.set_status(status)
            node.step(ev.Received(ref(8), msg.Notify()), 1.0)
            taken = node.predecessor == ref(8)
            self.assertEqual(taken, status in HEEDED[msg.Notify], status)

    def test_two_parts_may_not_take_the_same_event_message_or_alarm(self) -> None:
        self.assertRaises(AssertionError, parts.events, [*PARTS, LINE], {})
        self.assertRaises(AssertionError, parts.messages, [*PARTS, LINE])
        self.assertRaises(AssertionError, parts.alarms, [*PARTS, LINE], {})

    def test_every_message_between_nodes_is_taken_and_has_its_states(self) -> None:
        kinds = set(get_args(msg.PeerMessage))
        self.assertEqual(set(HEEDED), kinds)
        self.assertEqual(set(ChordNode._on_message), kinds)

    def test_every_alarm_is_declared(self) -> None:
        self.assertEqual(set(ChordNode._on_alarm), set(Alarm))

    def test_a_node_has_every_part_under_its_name(self) -> None:
        node = ChordNode(ProtocolConfig(bits=6), ref(10), Random(1))
        for part in PARTS:
            self.assertIsInstance(getattr(node, part.name), part.kind)

    def test_a_node_in_no_ring_covers_nothing(self) -> None:
        node = ChordNode(ProtocolConfig(bits=6), ref(10), Random(1))
        effects = node.step(ev.Received(ref(5), bcast(5, 50)), 1.0)
        self.assertEqual([e for e in effects if isinstance(e, fx.Send | fx.Record)], [])
        place(node, 5, [20, 30], None)
        effects = node.step(ev.Received(ref(5), bcast(5, 50)), 1.0)
        self.assertEqual(len([e for e in effects if isinstance(e, fx.Record)]), 1)
