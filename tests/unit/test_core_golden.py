"""Recorded conversations of small rings, in words: what nodes say to each other, line by line.

The files in ``golden/`` are read by people as much as by this test: a change of the protocol shows
there as a change of a conversation. After one that is meant, write them anew and read the diff::

    CHORDNET_WRITE_GOLDEN=1 python -m twisted.trial tests.unit.test_core_golden
"""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import messages as msg
from chordnet.core.base.events import FindOwner, Leave, Publish
from chordnet.core.base.messages import EdgeKind, FindKind, NodeRef, PeerMessage, Status
from tests.unit.core_support import Wire, raw

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "CHORDNET_WRITE_GOLDEN"
RING = (5, 10, 20, 30, 40, 50, 60)


def names(nodes: list[NodeRef]) -> str:
    return " ".join(str(node.id) for node in nodes) or "nobody"


def edge(kind: int) -> str:
    return EdgeKind(kind).name.lower()


def last(message: msg.Find | msg.FindNext) -> str:
    return ", you should be it" if message.last else ""


WORDS: dict[type, Callable[..., str]] = {
    msg.Ping: lambda m: "are you there?",
    msg.Pong: lambda m: f"I am here, {Status(m.status).name.lower()}",
    msg.GetState: lambda m: f"what are your pointers? I am {Status(m.status).name.lower()}",
    msg.State: lambda m: (
        f"{Status(m.status).name.lower()}: predecessor "
        f"{m.predecessor.id if m.predecessor else 'none'}, successors {names(m.successors)}"
    ),
    msg.Notify: lambda m: "I think that I am your predecessor",
    msg.Changed: lambda m: "my successors changed",
    msg.Leaving: lambda m: (
        f"I leave; before me is {m.predecessor.id}, after me are {names(m.successors)}"
    ),
    msg.FingerHint: lambda m: (
        f"nodes in ({m.low[0]}, {m.high[0]}]: {m.subject.id} {'is' if m.alive else 'may not be'} "
        "there"
    ),
    msg.TryMerge: lambda m: f"consider {m.candidate.id} as your successor",
    msg.Find: lambda m: (
        f"{m.origin.id} looks for the {FindKind(m.kind).name.lower()} of {m.key[0]}"
        f"{last(m)}; so far: {names(m.path)}"
    ),
    msg.Found: lambda m: f"it is {m.node.id}, by way of {names(m.path)}",
    msg.FindFailed: lambda m: f"not found: {m.reason}",
    msg.FindNext: lambda m: f"who is next towards {m.key[0]}{last(m)}?",
    msg.Next: lambda m: "I am it" if m.done else f"ask {names(m.nodes)}",
    msg.Bcast: lambda m: (
        f"BCAST {m.id.sequence} for (you, {m.limit[0]}) by {edge(m.kind)}, "
        f"{'header only' if m.bodies is None else 'with body'}; route "
        f"{' '.join(str(hop.raw[0]) for hop in m.hops)}"
    ),
    msg.Ack: lambda m: f"ACK {m.id.sequence} to {m.limit[0]}{', body?' if m.need_bodies else ''}",
    msg.Bodies: lambda m: f"BODY {m.id.sequence}",
    msg.Covered: lambda m: (
        f"COVERED {m.id.sequence} to {m.limit[0]}: {m.count} nodes, {m.messages} messages, "
        f"depth {m.depth}{', in part' if m.partial else ''}"
    ),
}


def spoken(message: PeerMessage) -> str:
    words = WORDS.get(type(message))
    return words(message) if words else type(message).__name__


def noticed(effect: fx.Effect) -> str:
    """A notice in words; empty for what is no news."""
    if isinstance(effect, fx.StatusChanged):
        return f"becomes {effect.new.name.lower()}"
    if isinstance(effect, fx.PeerDied):
        return f"holds {effect.peer.id} for dead"
    if isinstance(effect, fx.RingChanged):
        before = "none" if effect.predecessor is None else effect.predecessor.id
        return f"has predecessor {before}, successors {names(effect.successors)}"
    if isinstance(effect, fx.Record):
        return f"records {effect.id.sequence} by {' '.join(str(h.raw[0]) for h in effect.route)}"
    if isinstance(effect, fx.BroadcastDone):
        return (
            f"receipt: {effect.recorded} nodes, {effect.messages} messages, depth {effect.depth}"
            f"{', in part' if effect.partial else ''}"
        )
    if isinstance(effect, fx.LookupDone):
        return f"found {effect.owner.id if effect.owner else 'nobody'} by {names(effect.path)}"
    return "has left" if isinstance(effect, fx.LeftRing) else ""


class Storyteller(Wire):
    """A wire that writes down what is said and what comes of it."""

    def __init__(self, *args, **changes) -> None:
        self.lines: list[str] = []
        super().__init__(*args, **changes)

    def _step(self, member, event) -> None:
        told = len(self.effects)
        super()._step(member, event)
        for _, effect in self.effects[told:]:
            if isinstance(effect, fx.Send):
                self.say(member, f"-> {effect.to.address[1:]:>2}  {spoken(effect.message)}")
            elif words := noticed(effect):
                self.say(member, f"      {words}")

    def say(self, member: int, words: str) -> None:
        self.lines.append(f"{1000 * self.now:7.1f} ms  {member:2} {words}")


class GoldenTests(SynchronousTestCase):
    def compare(self, name: str, title: str, wire: Storyteller) -> None:
        path = GOLDEN / f"{name}.txt"
        text = "\n".join([title, "", *wire.lines, ""])
        if os.environ.get(REWRITE):
            path.write_text(text, encoding="utf-8")
        recorded = path.read_text(encoding="utf-8")
        if recorded != text:
            diff = unified_diff(
                recorded.splitlines(), text.splitlines(), str(path.name), "now", lineterm=""
            )
            self.fail(
                f"the conversation is another one; if that is meant, run with {REWRITE}=1\n"
                + "\n".join(diff)
            )

    def test_the_conversation_of_a_join_is_the_recorded_one(self):
        wire = Storyteller([5, 20, 40], fingers_fast_s=50.0)
        wire.nodes[20].ctx.alarms.set("stabilise", 0.02)
        wire.add(30, 5, fingers_fast_s=50.0)
        wire.run(0.05)
        self.assertEqual(wire.nodes[20].successors[0].id, 30)
        self.compare("join", "30 joins the ring 5 20 40 through 5.", wire)

    def test_the_conversation_after_a_kill_is_the_recorded_one(self):
        wire = Storyteller(RING, fingers_fast_s=50.0)
        wire.kill(20)
        wire.run(0.02)
        self.assertEqual(wire.nodes[30].predecessor.id, 10)
        self.compare("kill", "20 is killed in the ring 5 10 20 30 40 50 60.", wire)

    def test_the_conversation_of_a_leave_is_the_recorded_one(self):
        wire = Storyteller([5, 20, 40], fingers_fast_s=50.0)
        wire.event(20, Leave())
        wire.run(0.25)
        self.assertEqual(wire.nodes[5].successors[0].id, 40)
        self.compare("leave", "20 leaves the ring 5 20 40.", wire)

    def test_the_conversation_of_a_broadcast_is_the_recorded_one(self):
        wire = Storyteller(RING)
        wire.event(10, Publish([(1, b"hello")], 0.0))
        wire.run(0.5)
        self.compare("broadcast", "10 broadcasts in the ring 5 10 20 30 40 50 60.", wire)

    def test_the_conversation_of_a_broadcast_whose_delegate_dies_is_the_recorded_one(self):
        wire = Storyteller(RING, fingers_fast_s=50.0)
        wire.event(10, Publish([(1, b"hello")], 0.0))
        wire.run(0.0)
        wire.kill(50, noticed=False)
        wire.run(1.45)
        self.assertEqual([d.recorded for _, d in wire.told(fx.BroadcastDone)], [6])
        self.compare(
            "broadcast-kill",
            "10 broadcasts in the ring 5 10 20 30 40 50 60; 50 dies before it hears of it.",
            wire,
        )

    def test_the_conversation_of_a_lookup_of_either_kind_is_the_recorded_one(self):
        wire = Storyteller(RING)
        wire.event(10, FindOwner(1, raw(58)))
        wire.event(10, FindOwner(2, raw(58), True), 0.01)
        wire.run(0.1)
        self.compare(
            "lookup", "10 looks up 58 in the ring 5 10 20 30 40 50 60, in both ways.", wire
        )
