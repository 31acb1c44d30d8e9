"""Names and signatures in reports are bounded, whatever the nodes below say."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.limits import MAX_WITNESS_BYTES, MAX_WITNESSES
from chordnet.core.base.messages import (
    Ask,
    Covered,
    MarkedCovered,
    MessageId,
    NodeRef,
    Witness,
    witness_bytes,
)
from chordnet.core.broadcast.cast import Branch, Cast, Casts, marked
from chordnet.core.broadcast.reports import MAX_HEARD, Reports
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.marks import witnesses_fault
from chordnet.core.seals.merkle import HashTree
from chordnet.core.seals.sealing import Mark, Seals

RAW = bytes(20)
ID = MessageId(RAW, 1, 1)
CHAIN = [b"c" * 450, b"i" * 450]


def witness(number: int, *, signs: bool = True) -> Witness:
    raw = number.to_bytes(20)
    if not signs:
        return Witness(raw, f"n{number}", 1)
    return Witness(raw, f"n{number}", 1, bytes(64), CHAIN)


def report(count: int = 1) -> Covered:
    return Covered(ID, RAW, count, 3, 2, False, [], 1, 2)


class MarkedTests(SynchronousTestCase):
    def test_a_report_keeps_all_that_it_says_and_adds_the_names(self):
        names = [witness(number) for number in range(20)]
        found = marked(report(), names)
        for field in Covered.__struct_fields__:
            self.assertEqual(getattr(found, field), getattr(report(), field))
        self.assertEqual(found.witnesses, names)

    def test_what_does_not_fit_is_left_out_and_the_gate_takes_the_rest(self):
        signed = [witness(number) for number in range(1000)]
        found = marked(report(), signed).witnesses
        self.assertEqual(found, signed[: len(found)])
        self.assertLessEqual(witness_bytes(found), MAX_WITNESS_BYTES)
        self.assertGreater(witness_bytes(signed[: len(found) + 1]), MAX_WITNESS_BYTES)
        self.assertEqual(witnesses_fault(found), "")
        named = [witness(number, signs=False) for number in range(2000)]
        found = marked(report(), named).witnesses
        self.assertEqual(len(found), MAX_WITNESSES)
        self.assertEqual(witnesses_fault(found), "")


class HeardTests(SynchronousTestCase):
    def setUp(self):
        self.ctx = Context(ProtocolConfig(), NodeRef(RAW, 1, "a:1", "a"), Random(1))
        self.casts = Casts(self.ctx)
        self.reports = Reports(self.ctx, Seals(self.ctx, None))

    def cast(self, ask: int | None) -> Cast:
        mark = None if ask is None else Mark(None, ask, HashTree([b"x"]))
        cast = Cast(ID, 0.0, [b"x"], [], 9, 20.0, [], mark)
        self.casts.add(cast)
        return cast

    def heard(self, cast: Cast, names: list[Witness]) -> list[Witness]:
        branch = Branch(NodeRef(RAW, 1, "b:1", "b"), RAW, 1, 2, 2)
        self.reports.heard(self.casts, cast, branch, marked(report(), names))
        return branch.witnesses

    def test_names_are_taken_only_if_they_were_asked_for(self):
        names = [witness(1)]
        self.assertEqual(self.heard(self.cast(None), names), [])
        self.assertEqual(self.heard(self.cast(Ask.NOTHING), names), [])
        self.assertEqual(self.heard(self.cast(Ask.SIGNATURE), names), names)

    def test_the_names_of_one_broadcast_are_bounded_and_count_as_its_memory(self):
        cast = self.cast(Ask.SIGNATURE)
        before, held = cast.cost, self.casts.active_bytes
        full = marked(report(), [witness(number) for number in range(1000)]).witnesses
        taken = [self.heard(cast, full) for _ in range(4)]
        size = witness_bytes(full)
        fit = MAX_HEARD // size
        self.assertEqual([len(each) for each in taken], [len(full)] * fit + [0] * (4 - fit))
        self.assertEqual(cast.cost - before, fit * size)
        self.assertEqual(self.casts.active_bytes - held, fit * size)

    def test_a_finished_broadcast_remembers_the_names_and_what_they_take(self):
        cast = self.cast(Ask.NAME)
        branch = Branch(NodeRef(RAW, 1, "b:1", "b"), RAW, 1, 2, 2)
        cast.cover = 2
        cast.add(branch)
        names = [witness(1, signs=False)]
        self.reports.heard(
            self.casts, cast, branch, MarkedCovered(ID, RAW, 1, 0, 1, False, [], 0, 0, names)
        )
        cast.close(branch)
        self.casts.finish(cast)
        self.assertEqual(self.casts.active_bytes, 0)
        again = self.casts.get(ID)
        assert again is not None
        self.assertEqual(again.tally(0, 99).witnesses, names)
        self.assertEqual(self.casts.active_bytes, again.cost)
