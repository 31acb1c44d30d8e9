"""What a peer names, a program that writes log lines in others' names included."""

from __future__ import annotations

from msgspec.structs import replace

from benchmarks.hostile import identity
from chordnet.core.base.effects import Send
from chordnet.core.base.events import Event
from chordnet.core.base.messages import Find, FingerHint, Leaving, NodeRef, State, TryMerge
from chordnet.core.node import ChordNode
from tests.net.hostile import HostileCase

EVIL = "evil\n2026-01-01 Node 1: all is well\x1b[2J\x9b31m\u202e"


class Slandering(ChordNode):
    """A member that offers pointers of its own invention with every answer about the ring."""

    offered: tuple[NodeRef, ...] = ()

    def step(self, event: Event, now: float):
        return [self._spiced(effect) for effect in super().step(event, now)]

    def _spiced(self, effect):
        if isinstance(effect, Send) and isinstance(effect.message, State):
            ids = [*self.offered, *effect.message.successors]
            ids.sort(key=self.ctx.distance)
            return replace(effect, message=replace(effect.message, successors=ids))
        return effect


class LineTests(HostileCase):
    nodes = 3

    def test_what_a_peer_names_reaches_no_log_line_raw(self):
        ring = self.ring()
        evil = NodeRef(identity(EVIL, "", 1).raw, 1, "10.3.3.3:1", EVIL)
        odd = NodeRef(identity("odd", "", 1).raw, 1, EVIL, "odd")
        member = self.service(9, core=Slandering)
        self.network.run(4)
        peer = self.hostile(ring[0])
        member.node.core.offered = evil, odd
        for subject in (evil, odd):
            for number in range(40):
                key = bytes([number]) * 20
                peer.send(
                    TryMerge(subject, 8),
                    FingerHint(subject, True, key, key[1:] + b"x", 8),
                    FingerHint(subject, False, key, key[1:] + b"x", 8),
                    Leaving(subject, [subject]),
                    Find(number, subject, key, 0, [subject], 10, False),
                )
            self.network.run(2)
        self.network.run(10)
        raw = [line for line in self.lines if not line.isprintable()]
        self.assertEqual(raw, [])
        self.assertLess(len([line for line in self.lines if "evil" in line]), 30)
        self.services.remove(member)
        self.result(member.stopService(), 8)
        self.network.run(8)
        self.assert_confirmed(ring[0], "still-here")
