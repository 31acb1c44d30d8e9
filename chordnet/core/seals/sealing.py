"""Seals of origin: made for what this node sends, checked before anything is recorded.

One signature covers all messages of a broadcast: the origin signs the root of the tree of their
bodies (:mod:`chordnet.core.seals.merkle`). A node computes that root itself, from the bodies that
came, and keeps each message with the seal and the path to the root. So a message that is handed
over later is checked as strictly as one that comes by the tree.

A seal brings the origin's certificates along, every time. A kilobyte and an edge is less than it
costs to ask for them: nothing has to be known of the sender, a message that waits for nothing needs
no room, and what is kept can be checked by itself. Only among messages that are handed over
together, the certificates of one origin come once. The receiver remembers a bounded number of
chains for that; what it has forgotten it asks for again like any message that it lacks.

What is wrong with a seal is one of two kinds (:data:`chordnet.core.seals.notary.HONEST`). A seal
that no honest node can have found right is blamed on the node that sent it. One that it may have
found right, because its clock or its list of revoked names differs from ours, is dropped and
reported, and the sender is told that the message is not recorded here.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import attrs

from chordnet.core.base.effects import Misbehaved, SealRefused
from chordnet.core.base.messages import (
    Ask,
    Bcast,
    Caught,
    MarkedBcast,
    MarkedCaught,
    MessageId,
    NodeRef,
    Proof,
    Seal,
    Witness,
    chain_bytes,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.context import Context
from chordnet.core.seals.merkle import HashTree, root_of
from chordnet.core.seals.notary import HONEST, Notary
from chordnet.core.seals.statements import receipt_text, seal_text

MAX_CHAINS = 512
MAX_CHAIN_BYTES = 1 << 20
"""Chains of certificates that are remembered, and the memory they may take up."""


@attrs.define
class Mark:
    """What a broadcast carries besides its messages; without any of it there is no mark."""

    seal: Seal | None
    ask: int
    """One of :class:`Ask`."""
    tree: HashTree
    """Over the bodies."""
    own: Witness | None = None
    """What this node says of itself, once it has been asked."""
    heard: int = 0
    """Bytes of the names and signatures that have come."""
    _certificate: bytes = b""

    def proof(self, index: int, first: int, count: int) -> Proof | None:
        """Return what is kept with the message number ``index`` of a broadcast."""
        seal = self.seal
        if seal is None:
            return None
        self._certificate = self._certificate or fingerprint(seal.chain)
        path = self.tree.path(index)
        return Proof(first, count, seal.signature, self._certificate, path, seal.chain)

    @property
    def bytes(self) -> int:
        """About how many bytes it takes up."""
        return 256 + (chain_bytes(self.seal.chain) if self.seal is not None else 0)


def fingerprint(chain: Sequence[bytes]) -> bytes:
    """Return what names the first of these certificates; nothing if there is none."""
    return hashlib.sha256(chain[0]).digest() if chain else b""


class Seals:
    """One node's seals.

    :param notary: signs and checks; None for a network without certificates.
    """

    def __init__(self, ctx: Context, notary: Notary | None) -> None:
        self._ctx = ctx
        self.notary = notary
        self._chains: OrderedDict[bytes, list[bytes]] = OrderedDict()
        """Certificates -> the chain that begins with them, the one used last at the end."""
        self._bytes = 0

    @property
    def always(self) -> bool:
        """Whether only sealed messages are recorded."""
        return self.notary is not None and self.notary.always

    # ---- by the tree ------------------------------------------------------------------------

    def make(self, first: MessageId, created: float, bodies: list[bytes], ask: int) -> Mark | None:
        """Return the mark of a broadcast of this node's own; None if it needs none."""
        notary = self.notary
        if notary is None or not (notary.always or ask == Ask.SIGNATURE):
            return Mark(None, ask, HashTree(bodies)) if ask else None
        tree = HashTree(bodies)
        text = seal_text(notary.network, first, len(bodies), created, tree.root)
        return Mark(Seal(*notary.sign(text)), ask, tree)

    def read(self, message: Bcast, bodies: list[bytes]) -> tuple[Mark | None, Fault]:
        """Return the mark of a broadcast that has come, and what is wrong with its seal."""
        notary = self.notary
        seal, ask = None, int(Ask.NOTHING)
        if isinstance(message, MarkedBcast):
            seal, ask = message.seal, message.ask
        if notary is None or seal is None:
            if self.always:
                return None, Fault.UNSEALED
            return (Mark(None, ask, HashTree(bodies)) if ask else None), Fault.NONE
        tree = HashTree(bodies)
        text = seal_text(notary.network, message.id, message.count, message.created, tree.root)
        fault = notary.check(
            message.id.origin, seal.chain, seal.signature, text, message.created, live=True
        )
        if fault:
            return None, fault
        certificate = fingerprint(seal.chain)
        # All messages of an origin share its certificates in memory.
        shared = Seal(self._remember(certificate, seal.chain), seal.signature)
        return Mark(shared, ask, tree, certificate=certificate), fault

    # ---- handed over ------------------------------------------------------------------------

    def read_caught(self, message: Caught) -> tuple[Proof | None, Fault]:
        """Return what to keep with a message that was handed over, and what is wrong with it."""
        notary = self.notary
        proof = message.proof if isinstance(message, MarkedCaught) else None
        if notary is None or proof is None:
            return None, Fault.UNSEALED if self.always else Fault.NONE
        chain = proof.chain or self._chains.get(proof.certificate, [])
        if not chain:
            return None, Fault.SEAL_AUTHORITY
        index = message.id.sequence - proof.first
        root = root_of(message.body, index, proof.count, proof.path)
        if root is None or fingerprint(chain) != proof.certificate:
            return None, Fault.SEAL_FORGED
        first = message.id.plus(-index)
        text = seal_text(notary.network, first, proof.count, message.created, root)
        fault = notary.check(
            first.origin, chain, proof.signature, text, message.created, live=False
        )
        if not fault:
            chain = self._remember(proof.certificate, chain)
        whole = Proof(
            proof.first, proof.count, proof.signature, proof.certificate, proof.path, chain
        )
        return whole, fault

    def _remember(self, certificate: bytes, chain: list[bytes]) -> list[bytes]:
        """Remember a chain that was found right; return it, or the equal one remembered before."""
        known = self._chains.get(certificate)
        if known is not None:
            self._chains.move_to_end(certificate)
            return known if known == chain else chain
        self._chains[certificate] = chain
        self._bytes += chain_bytes(chain)
        while len(self._chains) > MAX_CHAINS or self._bytes > MAX_CHAIN_BYTES:
            self._bytes -= chain_bytes(self._chains.popitem(last=False)[1])
        return chain

    def refuse(self, sender: NodeRef, message_id: MessageId, fault: Fault) -> None:
        """Report a seal that is not accepted."""
        self._ctx.counters.add(CoreMetric.SEALS_REFUSED)
        if fault in HONEST:
            self._ctx.effects.append(SealRefused(sender, message_id, fault))
        else:
            self._ctx.effects.append(Misbehaved(sender, fault))

    # ---- receipts ---------------------------------------------------------------------------

    def witness(self, mark: Mark, first: MessageId, count: int) -> list[Witness]:
        """Return what this node, which has recorded the messages, says of itself if asked."""
        if not mark.ask:
            return []
        if mark.own is None:
            me, notary = self._ctx.me, self.notary
            chain, signature = list[bytes](), b""
            if notary is not None and mark.ask == Ask.SIGNATURE:
                chain, signature = notary.sign(self._text(mark, first, count, me))
            mark.own = Witness(me.raw, me.name, me.incarnation, signature, chain)
        return [mark.own]

    def _text(self, mark: Mark, first: MessageId, count: int, node: NodeRef | Witness) -> bytes:
        assert self.notary is not None
        root = mark.tree.root
        return receipt_text(self.notary.network, first, count, root, node.raw, node.incarnation)

    def credible(
        self, mark: Mark, first: MessageId, count: int, witnesses: list[Witness], wall: float
    ) -> list[Witness]:
        """Return the witnesses of one of this node's broadcasts, each once.

        With signatures only those whose signature is right: what a node on the way invents or
        repeats is left out.

        :param wall: the wall clock as it was when the broadcast began.
        """
        found: dict[bytes, Witness] = {}
        for each in witnesses:
            if each.raw in found:
                continue
            if mark.ask == Ask.SIGNATURE and self.notary is not None:
                text = self._text(mark, first, count, each)
                if self.notary.check(each.raw, each.chain, each.signature, text, wall, live=True):
                    self._ctx.counters.add(CoreMetric.SIGNATURES_REFUSED)
                    continue
            found[each.raw] = each
        return list(found.values())
