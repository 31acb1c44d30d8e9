"""What a seed means: a reported seed can be played again only while it means what it meant.

``golden/seeds.json`` holds a digest of what each source of chance draws. A change on purpose is
written down anew with ``python -m tests.sim.test_golden_seeds``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core import messages as msg
from chordnet.core.messages import Hop, MessageId, NodeRef, RingLabel
from chordnet.sim import churn, latency
from chordnet.sim.generate import generate
from chordnet.sim.liar import KINDS, Liar
from chordnet.sim.scenario import dumps

GOLDEN = Path(__file__).parent / "golden" / "seeds.json"
encode = msgspec.msgpack.Encoder().encode

REFS = [NodeRef(bytes([n]) * 20, n, f"10.0.0.{n}:1", f"n{n}") for n in range(1, 9)]
ME, VICTIM, *_ = REFS
ID = MessageId(VICTIM.raw, VICTIM.incarnation, 5)
HEARD: list[Any] = [
    msg.Bcast(ID, 1, 1.5, 60, REFS[4].raw, 2, [Hop(VICTIM.raw, "n2", 0)], [b"body"]),
    msg.Want([msg.Range(VICTIM.raw, 2, 1, 9)]),
    msg.Have([], [], [msg.OriginState(VICTIM.raw, 2, [1, 6])]),
    msg.Find(7, REFS[3], b"k" * 20, 0, [], 9, False),
    msg.FindNext(3, b"k" * 20, 0, [], False),
    msg.State(4, 3, RingLabel(0, 1), REFS[2], REFS[3:6], None),
    msg.Compare(77),
]
"""What a liar hears, and may twist."""


def lies(kind: str) -> Iterable[bytes]:
    """Everything that a liar of this kind says in twelve acts, with what it provokes and twists."""
    for seed in range(12):
        liar = Liar(ME, Random(seed), REFS[1:], VICTIM, published=seed)
        liar.earlier = list(HEARD)
        liar.seen.extend(HEARD)
        for _ in range(2):
            yield encode([(to.name, frame) for to, frame in KINDS[kind](liar)])
            yield encode([liar.speaker, liar.serves])
            for message in HEARD:
                if liar.reply is not None:
                    yield encode([(to.name, m) for to, m in liar.reply(REFS[3], message)])
                if liar.twist is not None:
                    yield encode(liar.twist(REFS[3], message))


def scenarios() -> Iterable[bytes]:
    return (dumps(generate(seed)).encode() for seed in range(120))


def delays(words: str) -> Iterable[bytes]:
    rng, draw = Random(1), latency.parse(words)
    return (f"{draw(rng):.9e}".encode() for _ in range(500))


def changes(words: str) -> Iterable[bytes]:
    for seed in range(20):
        for each in churn.parse(words)(Random(seed), 6, 400.0):
            yield f"{each.at:.6f} {each.verb} {each.node}".encode()


def digests() -> dict[str, str]:
    sources: dict[str, Callable[[], Iterable[bytes]]] = {"scenarios": scenarios}
    sources |= {f"lies of kind {kind}": (lambda kind=kind: lies(kind)) for kind in KINDS}
    for words in (
        "constant 0.001", "uniform 0.0005 0.0015", "exponential 0.02", "lognormal 0.03 0.6",
        "pareto 0.01 1.5",
    ):  # fmt: skip
        sources[f"latency {words}"] = lambda words=words: delays(words)
    for words in ("none", "poisson 0.1", "weibull 60 0.6", "weibull 60 3"):
        sources[f"churn {words}"] = lambda words=words: changes(words)
    return {
        name: hashlib.blake2b(b"\n".join(draw()), digest_size=8).hexdigest()
        for name, draw in sources.items()
    }


def text() -> str:
    return json.dumps(digests(), indent=1) + "\n"


class SeedTests(SynchronousTestCase):
    maxDiff = None

    def test_every_source_of_chance_draws_what_it_drew(self) -> None:
        self.assertEqual(digests(), json.loads(GOLDEN.read_text("utf-8")))


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(text(), encoding="utf-8")
