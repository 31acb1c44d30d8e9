"""The judge of a store against brute force, a right store, and stores with one fault."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import check_history, check_key, core
from chordnet.judge.store.history import Operation, line_of, read_history
from chordnet.judge.store.model import op_of, taken
from chordnet.judge.store.registers import Limits
from tests.unit.store_histories import Fault, Store, Trial, get, tiny

LIMITS = Limits()


def shown(history: list[Operation]) -> str:
    return b"".join(map(line_of, history)).decode()


def eased(history: dict[int, Operation], core: tuple[int, ...]) -> list[Operation]:
    """Return a history in which all but a core has no end, and reads outside of it are left out."""
    kept = []
    for number, each in history.items():
        if number in core or each.outcome == "unconfirmed":
            kept.append(each)
        elif each.outcome == "done":
            kept.append(msgspec.structs.replace(each, returned=100.0, client=f"own {number}"))
    return kept


class BruteForceTests(SynchronousTestCase):
    def test_tiny_histories_are_right_exactly_if_some_order_explains_them(self) -> None:
        for seed in range(4):
            rng = Random(seed)
            met: Counter[str] = Counter()
            for _ in range(2000):
                history = tiny(rng)
                skew = rng.choice([0.0, 0.0, 1.0, 2.5])
                right = Trial(history, skew).explained()
                found = check_history(history, LIMITS, skew)
                text = f"seed {seed}, skew {skew}:\n{shown(history)}"
                self.assertEqual(found.verdict is Verdict.RIGHT, right, text)
                (key,) = found.keys
                met["right" if right else "seen" if key.anomalies else "searched"] += 1
            self.assertGreater(min(met["right"], met["seen"], met["searched"]), 50, met)

    def test_a_counterexample_places_what_can_be_placed_and_its_core_is_wrong_by_itself(
        self,
    ) -> None:
        rng = Random(11)
        seen = 0
        while seen < 100:
            history = tiny(rng)
            numbered = dict(enumerate(history, 1))
            skew = rng.choice([0.0, 1.0])
            example = check_key("k", numbered, LIMITS, skew).counterexample
            if example is None:
                continue
            seen += 1
            ops = [op_of(n, each) for n, each in numbered.items() if taken(each)]
            sure = {op.number for op in ops if op.sure}
            self.assertLessEqual(set(example.core), sure, shown(history))
            placed = [step.number for step in example.longest if not step.expiry]
            self.assertEqual(len(placed), len(set(placed)), shown(history))
            kept = [numbered[n] for n in sorted(placed)]
            self.assertTrue(Trial(kept, skew).explained(), shown(history))
            self.assertTrue(example.core)
            for numbers in (example.core, core(ops, skew, LIMITS, 0)):
                less = eased(numbered, numbers)
                self.assertFalse(Trial(less, skew).explained(), f"{numbers}:\n{shown(history)}")

    def test_a_core_that_takes_too_many_steps_is_everything(self) -> None:
        history = [*Store(1, Fault.RESURRECTION).run(100), get(200, 201, None, None, key="k0")]
        numbered = {n: each for n, each in enumerate(history, 1) if each.key == "k0"}
        ops = [op_of(n, each) for n, each in numbered.items() if taken(each)]
        sure = sorted(op.number for op in ops if op.sure)
        self.assertEqual(list(core(ops, 0.0, Limits(steps=1), 0)), sure)


class StoreTests(SynchronousTestCase):
    def test_a_store_in_one_piece_is_always_right(self) -> None:
        for seed in range(30):
            history = Store(seed).run(300)
            found = check_history(history)
            self.assertIs(found.verdict, Verdict.RIGHT, f"seed {seed}:\n{shown(history)}")
            self.assertGreater(found.unconfirmed, 5, f"seed {seed}")
            self.assertEqual(list(read_history(map(line_of, history))), history)

    def test_every_fault_is_found_in_every_history_that_shows_it(self) -> None:
        for fault in Fault:
            for seed in range(10):
                history = Store(seed, fault).run(100)
                found = check_history(history)
                text = f"{fault.name}, seed {seed}:\n{shown(history)}"
                self.assertIs(found.verdict, Verdict.WRONG, text)

    def test_a_right_history_stays_right_if_its_gets_tell_no_versions(self) -> None:
        for seed in range(10):
            history = [
                msgspec.structs.replace(each, version=None) if each.outcome == "value" else each
                for each in Store(seed).run(120)
            ]
            found = check_history(history)
            self.assertIs(found.verdict, Verdict.RIGHT, f"seed {seed}:\n{shown(history)}")
