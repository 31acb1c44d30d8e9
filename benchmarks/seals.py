"""``python -m benchmarks.seals``: what a seal costs its origin, and every node that checks it.

Real keys and certificates, no sockets: a seal is made, checked, and divided into what is kept with
each message, for broadcasts of one message and of many. Then a ring of sixteen is run in virtual
time and its signatures are counted, which comes out the same every time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle
from random import Random

import click
from msgspec.structs import replace

from benchmarks.effort import NODES
from benchmarks.stats import median
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Ask, Bcast, Hop, MarkedBcast, MessageId, NodeRef
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.context import Context
from chordnet.core.seals.sealing import Mark, Seals
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.network import Network
from chordnet.trust.authority import Authority
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.seals import SealNotary
from chordnet.wire.codec import encode_frame

BATCHES = (1, 16, 256)
SPACE = IdentifierSpace(160)


def identifier(name: str) -> bytes:
    """Return a node's identifier."""
    return SPACE.raw(SPACE.hash(name.encode()))


class CountingNotary(SealNotary):
    """A notary that counts what it is asked."""

    asked: Counter[str]

    def sign(self, text: bytes) -> tuple[list[bytes], bytes]:
        """Return the chain and the signature."""
        self.asked["signatures made"] += 1
        return super().sign(text)

    def check(
        self,
        raw: bytes,
        chain: Sequence[bytes],
        signature: bytes,
        text: bytes,
        at: float,
        *,
        live: bool,
    ) -> Fault:
        """Return what is wrong with a signature."""
        self.asked["signatures checked"] += 1
        return super().check(raw, chain, signature, text, at, live=live)


class Pair:
    """The origin of messages, and a node that gets them."""

    def __init__(self) -> None:
        authority = Authority.create("benchmark", 0.0)
        self.origin = self._seals(authority.identity(Role.PEER, "one", 0.0))
        self.receiver = self._seals(authority.identity(Role.PEER, "two", 0.0))

    @staticmethod
    def _seals(identity: Identity) -> Seals:
        name = identity.subject.name
        me = NodeRef(identifier(name), 1, "localhost:1", name)
        notary = SealNotary(lambda: identity, identifier, lambda: 1.0, always=True)
        return Seals(Context(ProtocolConfig(), me, Random(1)), notary)

    def costs(self, count: int, times: int) -> dict[str, float]:
        """Return microseconds of each step, and bytes of a broadcast with and without a seal."""
        bodies = [b"message-%06d" % number for number in range(count)]
        first = MessageId(identifier("one"), 1, 1)

        def make() -> Mark:
            mark = self.origin.make(first, 1.0, bodies, Ask.NOTHING)
            assert mark is not None
            return mark

        mark = make()
        hops = [Hop(first.origin, "one", 0)]
        plain = Bcast(first, count, 1.0, 9, first.origin, 2, hops, bodies)
        sealed = MarkedBcast(
            first, count, 1.0, 9, first.origin, 2, hops, bodies, [], b"", mark.seal, 0
        )
        other = self.origin.make(first.plus(count), 1.0, bodies, Ask.NOTHING)
        assert other is not None
        # In turn, because the signature that was found right last is not checked again.
        turns = cycle((sealed, replace(sealed, id=first.plus(count), seal=other.seal)))

        def check() -> None:
            fault = self.receiver.read(next(turns), bodies)[1]
            assert not fault, fault

        return {
            "seal": microseconds(make, times),
            "check": microseconds(check, times),
            "divide": microseconds(lambda: [mark.proof(k, 1, count) for k in range(count)], times),
            "plain bytes": len(encode_frame(plain)),
            "sealed bytes": len(encode_frame(sealed)),
        }


def microseconds(step: Callable[[], object], times: int) -> float:
    """Return the median time of a step."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return 1e6 * median(found)


def counts(messages: int, ask: Ask) -> Counter[str]:
    """Return how often a ring of sixteen signs and checks for so many single broadcasts."""
    authority = Authority.create("benchmark", 0.0)
    names = [f"n{number}" for number in range(NODES)]
    members = {identifier(name): authority.identity(Role.PEER, name, 0.0) for name in names}
    network, asked = Network(1), Counter[str]()

    def notary_of(raw: bytes) -> CountingNotary:
        notary = CountingNotary(lambda: members[raw], identifier, lambda: network.now, always=True)
        notary.asked = asked
        return notary

    network.notary_of = notary_of
    right_ring(network, names, names[:1])
    for number in range(messages):
        network.publish("n3", f"message-{number}", ask)
        network.run(1.0)
    return asked


@click.command(help=__doc__)
@click.option("--times", default=300, show_default=True, help="How often each step is timed.")
def main(times: int) -> None:
    """Measure and print."""
    pair = Pair()
    print("messages together   seal us   check us   divide us   bytes plain   bytes sealed")
    for count in BATCHES:
        found = pair.costs(count, times if count < 100 else max(1, times // 5))
        print(
            f"{count:17}{found['seal']:10.0f}{found['check']:11.0f}{found['divide']:12.0f}"
            f"{found['plain bytes']:14.0f}{found['sealed bytes']:15.0f}"
        )
    for ask in (Ask.NOTHING, Ask.SIGNATURE):
        asked = ", ".join(f"{number} {what}" for what, number in sorted(counts(10, ask).items()))
        receipt = "signed" if ask else "counted"
        print(f"10 broadcasts in a ring of {NODES}, receipts {receipt}: {asked}")


if __name__ == "__main__":
    main()
