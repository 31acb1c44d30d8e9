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
from chordnet.core.kernel.handlers import Handlers, Ringers
from chordnet.core.kernel.membership import HEEDED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.node import ChordNode
from chordnet.core.parts import PARTS, Part
from tests.unit.core_support import place, ref
from tests.unit.test_core_broadcast import bcast


class Probe:
    """A part that is added as a developer would: a file of its own, and one line in ``PARTS``."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_notify(self, sender: msg.NodeRef, message: msg.Notify) -> None:
        self.seen.append((sender.name, type(message)))

    def ring(self) -> None:
        self.seen.append("rang")

    MESSAGES: ClassVar[Handlers] = {msg.Notify: on_notify}
    ALARMS: ClassVar[Ringers] = {Alarm.JOIN: ring}


class Node:
    """What the tables ask of a node."""

    def __init__(self, status: Status) -> None:
        self.now_status = status
        self.probe = Probe()

    def status(self) -> Status:
        return self.now_status


LINE = Part("probe", Probe, lambda _node: Probe())


class PartTests(SynchronousTestCase):
    def test_one_line_brings_a_new_parts_messages_and_alarms_to_it(self) -> None:
        node = Node(Status.ACTIVE)
        parts.messages([LINE], {})[msg.Notify](node, ref(5), msg.Notify())
        parts.alarms([LINE], {})[Alarm.JOIN](node)
        self.assertEqual(node.probe.seen, [("n5", msg.Notify), "rang"])

    def test_a_message_is_dropped_in_the_states_in_which_it_is_not_heeded(self) -> None:
        take = parts.messages([LINE], {})[msg.Notify]
        for status in Status:
            node = Node(status)
            take(node, ref(5), msg.Notify())
            self.assertEqual(bool(node.probe.seen), status in HEEDED[msg.Notify], status)

    def test_two_parts_may_not_take_the_same_message_or_alarm(self) -> None:
        self.assertRaises(AssertionError, parts.messages, [*PARTS, LINE], {})
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
