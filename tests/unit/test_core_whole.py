"""Nothing of a node appears later: whatever its parts ever keep, they have from the start.

A value that is set for the first time in the middle of a life is missing for whoever looks before.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import EdgeKind
from chordnet.core.broadcast.cast import Branch, Cast
from chordnet.core.kernel.signals import SUPERSEDED
from chordnet.core.log.ledger import Ledger
from chordnet.core.node import ChordNode
from chordnet.wire.framing import FrameDecoder
from tests.unit.core_support import Wire, config, ref
from tests.unit.test_core_broadcast import mid


def objects_of(root: object) -> Iterator[tuple[str, object]]:
    """Yield an object of the core and those that it consists of, each with its path."""
    waiting, seen = [("node", root)], set()
    while waiting:
        path, each = waiting.pop()
        if id(each) in seen or not type(each).__module__.startswith("chordnet."):
            continue
        seen.add(id(each))
        if hasattr(each, "__dict__"):
            yield path, each
            waiting += [(f"{path}.{name}", value) for name, value in vars(each).items()]


def names_of(node: ChordNode) -> dict[str, set[str]]:
    return {path: set(vars(each)) for path, each in objects_of(node)}


class WholeTests(SynchronousTestCase):
    def test_a_node_has_the_same_attributes_before_and_after_its_life(self) -> None:
        wire = Wire([10, 20, 30, 50])
        wire.add(40, 10)
        wire.run(5.0)
        for member, op in ((10, 1), (40, 2)):
            wire.event(member, ev.Publish([(op, b"word")], 1.0))
        wire.event(20, ev.FindOwner(3, b"\x2d", iterative=True))
        wire.run(10.0)
        wire.kill(30)
        wire.run(10.0)
        wire.event(50, ev.Leave())
        wire.run(10.0)
        node = wire.nodes[40]
        self.assertFalse(node.ctx.alarms.is_set("join"), "a member looks for no ring")
        self.assertEqual(len([e for m, e in wire.told(fx.Record) if m == 40]), 2)
        node.sync.compared(node.ring.head, 1)
        node.ctx.tell(SUPERSEDED, "the name belongs to another")
        fresh = names_of(ChordNode(config(), ref(41), Random(1)))
        old = names_of(node)
        self.assertEqual({path: old[path] for path in fresh}, fresh)
        self.assertGreater(len(fresh), 25)

    def test_what_has_fixed_places_for_its_values_has_filled_them_from_the_start(self) -> None:
        ledger = Ledger(8)
        ledger.add(mid(1))
        made: list[Any] = [
            Branch(ref(20), b"", 0, 1, EdgeKind.FINGER),
            Cast(mid(1), 0.0, [], [], 1, 1.0, []),
            FrameDecoder(100),
            ledger._get((b"\x32", 1)),
        ]
        for each in made:
            missing = [name for name in type(each).__slots__ if not hasattr(each, name)]
            self.assertEqual(missing, [], type(each).__name__)
