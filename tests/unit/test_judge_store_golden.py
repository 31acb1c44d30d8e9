"""What the judge of a store says of histories that seeds make, word by word.

``golden/judged.txt`` has a line for each key that is not soon found right. A change on purpose is
written down anew with ``python -m tests.unit.test_judge_store_golden``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.judge.store.anomalies import Placed, Verdict
from chordnet.judge.store.check import KeyFound, check_history, check_key, core
from chordnet.judge.store.history import Operation, Outcome
from chordnet.judge.store.model import op_of, taken
from chordnet.judge.store.registers import Limits
from tests.unit.store_histories import Fault, Store, tiny

GOLDEN = Path(__file__).parent / "golden" / "judged.txt"
TINY = 400
STEPS = 600
"""So few that some of the larger histories are not decided, and some cores not made small."""


def untold(history: list[Operation], share: float) -> list[Operation]:
    """Return a history in which such a share of the answers tells no version."""
    rng = Random(1)
    return [
        msgspec.structs.replace(each, version=None)
        if each.outcome in (Outcome.DONE, Outcome.VALUE) and rng.random() < share
        else each
        for each in history
    ]


def spoiled(history: list[Operation], key: str) -> list[Operation]:
    """Return a history in which the last read of a key that found something found the first."""
    values = [each for each in history if each.key == key and each.value]
    reads = [each for each in history if each.key == key and each.found]
    if not reads:
        return history
    first, last = min(values, key=lambda each: each.call), max(reads, key=lambda each: each.call)
    late = msgspec.structs.replace(last, version=None, found=first.value)
    return [late if each is last else each for each in history]


def histories() -> Iterator[tuple[str, list[Operation], float]]:
    """Yield histories with their names, and how far clocks may be apart."""
    rng = Random(5)
    for number in range(TINY):
        history = tiny(rng)
        yield f"tiny {number}", history, rng.choice([0.0, 0.0, 1.0, 2.5])
    for seed in range(12):
        right = Store(seed).run(50)
        for key in ("k0", "k1", "k2"):
            yield f"spoiled {seed}", spoiled(untold(right, 0.5), key), 0.0
        for share in (0.0, 0.5, 1.0):
            yield f"right {seed}, {share} untold", untold(right, share), 0.25 * share
    for fault in Fault:
        for seed in range(3):
            for share in (0.0, 0.5, 1.0):
                history = untold(Store(seed, fault).run(36), share)
                yield f"{fault.name.lower()} {seed}, {share} untold", history, 0.25 * seed


def lines() -> Iterator[str]:
    for name, history, skew in histories():
        found = check_history(history, Limits(steps=STEPS), skew)
        for key in found.keys:
            if key.verdict is not Verdict.RIGHT or key.steps > 20:
                yield f"{name}, {key.key}: {said(key)}"

    yield from cores()


def cores() -> Iterator[str]:
    """Yield what is left of wrong histories when the search for their cores is cut short."""
    rng = Random(5)
    for number in range(TINY):
        history = dict(enumerate(tiny(rng), 1))
        rng.choice([0.0, 0.0, 1.0, 2.5])
        example = check_key("k", history, Limits(), 0.0).counterexample
        if example is None:
            continue
        ops = [op_of(n, each) for n, each in history.items() if taken(each)]
        before: tuple[int, ...] = ()
        for steps in range(-1, 60):
            now = core(
                ops,
                0.0,
                Limits(steps=steps),
                max((each.version for each in example.longest), default=0),
            )
            if now != before:
                yield f"core of tiny {number}: {' '.join(map(str, now))} with {steps} steps"
            before = now


def said(key: KeyFound) -> str:
    words = [f"{key.verdict} after {key.steps} steps, {key.operations} operations"]
    words += [" ".join(map(str, (each.kind, *each.numbers))) for each in key.anomalies]
    example = key.counterexample
    if example is not None:
        words.append(f"core {' '.join(map(str, example.core))}")
        words += [f"{each.number} stuck by {each.reason}" for each in example.stuck]
        words.append(f"placed {' '.join(map(placed, example.longest))}")
    return "; ".join(words)


def placed(step: Placed) -> str:
    return f"{step.number}{'x' if step.expiry else ''}:{step.version}={step.value}"


class GoldenTests(SynchronousTestCase):
    maxDiff = None

    def test_the_judge_says_of_histories_what_it_said(self) -> None:
        golden = GOLDEN.read_text("utf-8").splitlines()
        for now, before in zip(lines(), golden, strict=True):
            self.assertEqual(now, before)


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")
