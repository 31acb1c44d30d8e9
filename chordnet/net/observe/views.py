"""The core's values as a client sees them: hex identifiers, names, whole sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from msgspec import structs

from chordnet.core.base.effects import BroadcastDone, WitnessedDone
from chordnet.core.base.errors import BroadcastFailed, Busy, ChordnetError, LookupFailed
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import EdgeKind, LedgerState, NodeRef, RingLabel
from chordnet.core.base.outcomes import Failed
from chordnet.core.log.ordering import Missing
from chordnet.net.base.interfaces import StoredMessage
from chordnet.net.observe.traces import Happening
from chordnet.wire.receipts import Evidence, NodeSignature
from chordnet.wire.rpc import (
    MessageGap,
    MessageRecord,
    MessageTrace,
    MessageTrail,
    NodeInfo,
    OriginHistory,
    Receipt,
    RouteHop,
    TraceEvent,
)

_KINDS = {int(kind): kind.name.lower() for kind in EdgeKind}
_CACHE_LIMIT = 4096


class Views:
    """Turns the core's values into those of ``wire/rpc.py``."""

    def __init__(self, space: IdentifierSpace) -> None:
        self._space = space
        self._hops: dict[tuple[bytes, str, int], RouteHop] = {}

    def node(self, ref: NodeRef) -> NodeInfo:
        """Return ``ref`` with its identifier in hex."""
        return NodeInfo(self._hex(ref.raw), ref.name, ref.address)

    def nodes(self, refs: Iterable[NodeRef]) -> list[NodeInfo]:
        """Return each of ``refs`` as :meth:`node` does."""
        return [self.node(ref) for ref in refs]

    def message(self, stored: StoredMessage) -> MessageRecord:
        """Return a stored message; a body that is not UTF-8 is shown with escapes."""
        record = stored.record
        return MessageRecord(
            id=str(record.id),
            body=record.body.decode("utf-8", "backslashreplace"),
            created=record.created,
            received_at=stored.received_at,
            route=[self._hop(hop.raw, hop.name, hop.kind) for hop in record.route],
        )

    def history(self, account: LedgerState, kept: list[int]) -> OriginHistory:
        """Return what is known of one origin, of which the log keeps ``kept``."""
        return OriginHistory(
            self._hex(account.origin), account.incarnation, account.known, account.lost, kept
        )

    def trail(self, stored: StoredMessage) -> MessageTrail:
        """Return a stored message without its body."""
        record = stored.record
        digest = hashlib.blake2b(record.body, digest_size=16).digest()
        route = [self._hex(hop.raw) for hop in record.route]
        return MessageTrail(str(record.id), digest, stored.received_at, route)

    def gap(self, missing: Missing, name: str) -> MessageGap:
        """Return a gap in the messages of the origin called ``name``."""
        return MessageGap(
            self._hex(missing.origin),
            name,
            missing.incarnation,
            missing.first,
            missing.last,
            missing.dropped,
        )

    def receipt(
        self, done: BroadcastDone, body: str, seconds: float, expect: Collection[str] = ()
    ) -> Receipt:
        """Return what became of a broadcast that took ``seconds``.

        :param expect: names of nodes without which it is partial.
        """
        unreached = self.nodes(done.unreached)
        receipt = Receipt(
            id=str(done.id) if done.id is not None else "",
            body=body,
            recorded=done.recorded,
            members=done.recorded + len(unreached),
            messages=done.messages,
            depth=done.depth,
            seconds=seconds,
            partial=done.partial,
            unreached=unreached,
            shared=done.shared,
            conflict=done.conflict,
            lost=done.lost,
        )
        return _named(receipt, done, expect) if isinstance(done, WitnessedDone) else receipt

    def trace(
        self, message_id: str, stored: StoredMessage | None, events: Iterable[Happening]
    ) -> MessageTrace:
        """Return what is known of a message's way."""
        return MessageTrace(
            message_id,
            self.message(stored) if stored is not None else None,
            [TraceEvent(e.at, e.what.name.lower(), self.node(e.peer)) for e in events],
        )

    @staticmethod
    def label(label: RingLabel | None) -> str:
        """Return a ring's label, ``epoch:ring_id``; empty for none."""
        return f"{label.epoch}:{label.ring_id}" if label is not None else ""

    def _hop(self, raw: bytes, name: str, kind: int) -> RouteHop:
        key = (raw, name, kind)
        hop = self._hops.get(key)
        if hop is None:
            if len(self._hops) >= _CACHE_LIMIT:
                self._hops.clear()
            hop = RouteHop(self._hex(raw), name, _KINDS.get(kind, f"kind {kind}"))
            self._hops[key] = hop
        return hop

    def _hex(self, raw: bytes) -> str:
        return self._space.hex(int.from_bytes(raw)) if raw else ""


def _named(receipt: Receipt, done: WitnessedDone, expect: Collection[str]) -> Receipt:
    """Return a receipt with the names of the nodes that have recorded the message."""
    named = sorted(each.name for each in done.witnesses)
    missing = sorted(set(expect) - set(named))
    signatures = [
        NodeSignature(each.name, each.raw, each.incarnation, each.signature, each.chain)
        for each in done.witnesses
        if each.signature
    ]
    evidence = Evidence(done.first, done.shared, done.path, signatures) if signatures else None
    return structs.replace(
        receipt,
        partial=receipt.partial or bool(missing),
        named=named,
        missing=missing,
        unsigned=done.unsigned,
        evidence=evidence,
    )


def lookup_failure(reason: Failed) -> ChordnetError:
    """Return the error for a lookup that the core refused or gave up."""
    if reason == Failed.BUSY:
        return Busy("too many lookups are under way at this node; retry after a moment")
    return LookupFailed(_IN_WORDS.get(reason, "no owner was found before the deadline"))


def broadcast_failure(reason: Failed) -> ChordnetError:
    """Return the error for a broadcast that the core refused or gave up."""
    if reason == Failed.BUSY:
        return Busy("too many broadcasts pass through this node; retry after a moment")
    return BroadcastFailed(_IN_WORDS.get(reason, "the broadcast was not confirmed"))


_IN_WORDS = {
    Failed.NOT_IN_RING: "this node is not in a ring",
    Failed.NO_WAY: "all nodes on the way to the owner were silent; ask again",
    Failed.NODE_DIED: "the node that was asked is dead",
    Failed.REFUSED: "the node that was asked knows no way to the owner",
    Failed.TOO_LONG: "the message is longer than a node may send",
    Failed.NUMBER_TAKEN: (
        "the message log holds messages of this node's present life that it has not sent; it is"
        " damaged or a copy. Nothing was sent; the next message gets a free number"
    ),
}
