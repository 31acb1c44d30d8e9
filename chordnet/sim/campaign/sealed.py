"""One run of a ring with certificates and a lying member: seals of origin, and signed receipts.

The lies are those that seals and signatures are meant to find out: X speaks in Y's name, changes
what it passes on, leaves seals or questions out, repeats what was signed for something else, keeps
a range to itself and says that it is covered, and invents the signatures of the nodes in it. X has
its own key and no other. What :mod:`chordnet.sim.campaign.byzantine` asks of a run still holds, and

- no honest node records a message of an honest node that this one has not sent;
- every node that a receipt names, except X, had recorded the message when the receipt was given,
  whether the receipt is partial or not. So an honest node that is expected and had not is missing
  from it, and the receipt says so.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import msgspec

from chordnet.core.base import effects as fx
from chordnet.core.base import messages as msg
from chordnet.core.base.messages import Ask, Hop, MessageId, NodeRef, PeerMessage, Seal, Witness
from chordnet.core.seals.merkle import HashTree
from chordnet.core.seals.statements import receipt_text, seal_text
from chordnet.sim.campaign.byzantine import ByzantineRun, Told
from chordnet.sim.campaign.liar import Frames, Liar, keep_still, mutate
from chordnet.sim.campaign.notaries import Registry
from chordnet.sim.world.host import Host
from chordnet.sim.world.latency import happens
from chordnet.sim.world.network import Network

T = TypeVar("T")

replace = msgspec.structs.replace


def _seen(liar: Liar, kind: type[T]) -> list[T]:
    return [each for each in (*liar.seen, *liar.earlier) if isinstance(each, kind)]


def _seals(liar: Liar) -> list[Seal]:
    """Return seals that it has seen, and ones that it has made itself."""
    found = [each.seal for each in _seen(liar, msg.MarkedBcast) if each.seal is not None]
    chains = [each.chain for each in found] or [[b"no certificate"]]
    found.append(Seal(liar.rng.choice(chains), liar.rng.randbytes(64)))
    return found


def _own(liar: Liar, first: MessageId, bodies: list[bytes], network: bytes) -> Seal:
    assert liar.notary is not None
    text = seal_text(network, first, len(bodies), 0.0, HashTree(bodies).root)
    chain, signature = liar.notary.sign(text)
    others = [seal.chain for seal in _seals(liar)]
    return Seal(liar.rng.choice([chain, *others]), signature)


def forge(liar: Liar) -> Frames:
    """Send messages in the victim's name, with its own signature or any other."""
    rng = liar.rng
    assert liar.notary is not None
    network = rng.choice((liar.notary.network, bytes(16)))
    first = liar.id(rng.choice((1, 1, 1, 2, 3)))
    if happens(rng, 0.2):
        first = MessageId(first.origin, first.incarnation + 1, 1)
    bodies = [b"forged"] * rng.choice((1, 1, 4))
    seal = rng.choice((_own(liar, first, bodies, network), rng.choice(_seals(liar)), None))
    plain = liar.bcast(first, bodies)
    marked = _marked(plain, seal, int(rng.choice(tuple(Ask))))
    frames: Frames = []
    for to in liar.everyone():
        word = rng.choice(("bcast", "bcast", "plain", "header", "caught"))
        if word == "bcast":
            frames.append((to, marked))
        elif word == "plain":
            frames.append((to, plain))
        elif word == "header":
            frames.append((to, replace(marked, bodies=None)))
            frames.append((to, msg.Bodies(first, bodies)))
        else:
            proof = None if seal is None else _proof(liar, seal)
            caught = msg.MarkedCaught(first, 0.0, plain.hops, bodies[0], proof)
            frames.append((to, caught))
    return frames


def _marked(plain: msg.Bcast, seal: Seal | None, ask: int) -> msg.MarkedBcast:
    return msg.MarkedBcast(
        plain.id,
        plain.count,
        plain.created,
        plain.ttl,
        plain.limit,
        plain.kind,
        plain.hops,
        plain.bodies,
        plain.detours,
        plain.digest,
        seal,
        ask,
    )


def _proof(liar: Liar, seal: Seal) -> msg.Proof:
    path = [liar.rng.randbytes(32) for _ in range(liar.rng.choice((0, 0, 1, 3)))]
    leaf = liar.rng.randbytes(32)
    count = liar.rng.choice((1, 2, 8, 1 << 40))
    return msg.Proof(liar.rng.choice((1, 2, 3)), count, seal.signature, leaf, path, seal.chain)


def change(liar: Liar) -> Frames:
    """Change what it passes on: bodies, numbers, times, seals and questions, or leave them out."""
    rng, how = liar.rng, liar.rng.choice(("body", "id", "created", "seal", "ask", "plain", "count"))

    def twist(_to: NodeRef, message: PeerMessage) -> list[PeerMessage]:
        if not isinstance(message, msg.MarkedBcast | msg.MarkedCaught) or happens(rng, 0.3):
            return [message]
        if isinstance(message, msg.MarkedCaught):
            path = [rng.randbytes(32)]
            proof = message.proof and replace(message.proof, path=path)
            body = message.body + b"!" if how == "body" else message.body
            return [replace(message, body=body, proof=proof if how != "plain" else None)]
        return [_changed(message, how, rng)]

    liar.twist = twist
    return []


def _changed(message: msg.MarkedBcast, how: str, rng: Random) -> msg.Bcast:
    if how == "body" and message.bodies:
        return replace(message, bodies=[body + b"!" for body in message.bodies])
    if how == "count" and message.bodies:
        return replace(message, count=message.count + 1, bodies=[*message.bodies, b"one more"])
    if how == "id":
        return replace(message, id=message.id.plus(rng.choice((1, 2, 1000))))
    if how == "created":
        return replace(message, created=message.created + rng.choice((-1e9, -1.0, 1.0, 1e9)))
    if how == "seal":
        seal = message.seal
        made = None if seal is None else Seal(seal.chain, rng.randbytes(64))
        return replace(message, seal=rng.choice((None, made)))
    if how == "ask":
        return replace(message, ask=int(rng.choice(tuple(Ask))))
    return msg.Bcast(*[getattr(message, name) for name in msg.Bcast.__struct_fields__])


def _reporting(liar: Liar, witnesses: Callable[[msg.MarkedBcast], list[Witness]]) -> None:
    """Report every range that it is given as covered, and send nothing to the nodes in it."""
    rng = liar.rng

    def reply(sender: NodeRef, message: PeerMessage) -> Frames:
        if not isinstance(message, msg.MarkedBcast) or message.bodies is None:
            return []
        named = witnesses(message)
        count = rng.choice((1, len(named), rng.randint(1, 9)))
        fields = (message.id, message.limit, count, 0, 1, False, list[NodeRef]())
        return [(sender, msg.MarkedCovered(*fields, 0, 0, named))]

    liar.serves, liar.reply, liar.twist = False, reply, keep_still


def _signed(liar: Liar, message: msg.MarkedBcast, node: NodeRef) -> Witness:
    """Return its own signature, as that of ``node``."""
    assert liar.notary is not None
    assert message.bodies is not None
    root = HashTree(message.bodies).root
    network = liar.notary.network
    text = receipt_text(network, message.id, message.count, root, node.raw, node.incarnation)
    chain, signature = liar.notary.sign(text)
    return Witness(node.raw, node.name, node.incarnation, signature, chain)


def hide(liar: Liar) -> Frames:
    """Keep its range to itself, and sign that it has the message."""
    _reporting(liar, lambda message: [_signed(liar, message, liar.me)])
    return []


def invent(liar: Liar) -> Frames:
    """Keep its range to itself, and name the nodes in it with signatures of any kind."""
    rng = liar.rng
    old: list[Witness] = []

    def witnesses(message: msg.MarkedBcast) -> list[Witness]:
        for covered in _seen(liar, msg.MarkedCovered):
            old.extend(covered.witnesses)
        found = [_signed(liar, message, liar.me)]
        for node in rng.sample(liar.others, rng.randint(1, len(liar.others))):
            made = _signed(liar, message, node)
            its = [each for each in old if each.raw == node.raw]
            chains = [each.chain for each in its] or [made.chain]
            found.append(
                rng.choice(
                    (
                        made,
                        replace(made, signature=rng.randbytes(64), chain=rng.choice(chains)),
                        replace(made, chain=rng.choice(chains)),
                        rng.choice(its or [made]),
                        replace(made, signature=b"", chain=[]),
                    )
                )
            )
        return found

    # It remembers what others signed while it still served.
    for covered in _seen(liar, msg.MarkedCovered):
        old.extend(covered.witnesses)
    _reporting(liar, witnesses)
    return []


def repeat(liar: Liar) -> Frames:
    """Send what others have sealed again: as it was, for another number, or in another life."""
    rng, frames = liar.rng, Frames()
    sealed = _seen(liar, msg.MarkedBcast)
    for _ in range(rng.randint(1, 20)):
        if not sealed:
            return []
        old = rng.choice(sealed)
        hops = [Hop(old.id.origin, liar.victim.name, 0), Hop(liar.me.raw, liar.me.name, 2)]
        new = liar.id(rng.choice((1, 2)))
        made = rng.choice((old, replace(old, id=new), replace(old, bodies=[b"other"] * old.count)))
        frames.append((liar.someone(), replace(made, hops=hops)))
    return frames


def garble(liar: Liar) -> Frames:
    """Send frames that it has seen, with values changed."""
    return mutate(liar)


def various(liar: Liar) -> Frames:
    """Lie in another way every time."""
    return liar.rng.choice((forge, change, hide, invent, repeat, garble))(liar)


SEALED_KINDS: dict[str, Callable[[Liar], Frames]] = {
    each.__name__: each for each in (forge, change, hide, invent, repeat, garble, various)
}
"""The ways to lie about what is signed, by name."""


class SealedRun(ByzantineRun):
    """The run of one kind of lies about seals and signatures, with one seed."""

    kinds = SEALED_KINDS
    restarts = frozenset({"repeat"})

    def _certify(self, network: Network) -> None:
        self._registry = Registry(Random(f"keys {self.kind} {self.seed}"))
        network.notary_of = self._registry.notary
        self._sent: dict[MessageId, bytes] = {}

    def _begin(self, liar: Liar) -> None:
        liar.notary = self._registry.notary(liar.me.raw)

    def _ask(self) -> int:
        return Ask.SIGNATURE if happens(self._rng, 0.8) else Ask.NOTHING

    def _recorded(self, host: Host, record: fx.Record) -> None:
        super()._recorded(host, record)
        if host.ref.raw == record.id.origin:
            self._sent[record.id] = record.body

    def _what_x_did(self, told: Told, key: MessageId) -> None:
        super()._what_x_did(told, key)
        # No lie can take a number, and whatever X sends or keeps may leave a receipt partial.
        told.taken = False
        told.spoken = bool(self.liar.lies) or not self.liar.serves or self.liar.twisted_once

    def _untrue(self, told: Told) -> list[str]:
        found = super()._untrue(told)
        done = told.done
        if isinstance(done, fx.WitnessedDone):
            named = {each.raw for each in done.witnesses} - {self.liar.me.raw}
            untrue = named & told.lacking
            if untrue:
                names = ", ".join(self._named(raw) for raw in untrue)
                found.append(f"{told.body.decode()}: signed for by {names}, which lacked it")
            if not done.partial and done.recorded > len(done.witnesses):
                found.append(f"{told.body.decode()}: {done.unsigned} unsigned, and not partial")
        return found

    def _twice(self) -> list[str]:
        return super()._twice() + [
            f"{name} recorded {key} as {body!r}, which its origin has not sent"
            for (name, key), body in self._bodies.items()
            if key.origin != self.liar.me.raw and self._sent.get(key) != body
        ]
