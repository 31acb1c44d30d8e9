"""What the tree records: each message once, with its route and its seal."""

from __future__ import annotations

from chordnet.core.base.effects import Record
from chordnet.core.base.events import Recent
from chordnet.core.base.messages import Detour, Hop, MessageId, digest_of
from chordnet.core.kernel.context import Context
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.log.ledger import Ledger
from chordnet.core.seals.sealing import Mark


class Records:
    """The ledger as broadcasts see it.

    :param ledger: what has been recorded.
    :param sync: told of what is recorded, and asked for routes that are not the tree's.
    """

    def __init__(self, ctx: Context, ledger: Ledger, sync: AntiEntropy) -> None:
        self._ctx = ctx
        self.ledger, self.sync = ledger, sync
        self._recent: dict[MessageId, bytes] = {}
        """Digests of what an earlier life recorded shortly before this one began."""

    def remember(self, recent: Recent) -> None:
        """Note a message that an earlier life of this node recorded shortly before its end."""
        self.sync.remember(recent.id, recent.route)
        self._recent[recent.id] = recent.digest

    def record(
        self,
        message_id: MessageId,
        created: float,
        bodies: list[bytes],
        route: list[Hop],
        detours: list[Detour],
        mark: Mark | None,
    ) -> tuple[int, int, int]:
        """Record what is new.

        :returns: how many had been recorded with other bodies, how many had been given up, and how
            many had been recorded by a route that is not remembered.
        """
        ctx, ledger, conflict, lost, strayed = self._ctx, self.ledger, 0, 0, 0
        first, count = message_id.sequence, len(bodies)
        for offset, body in enumerate(bodies):
            each = message_id.plus(offset) if offset else message_id
            weight = ledger.add(each, body)
            if weight is not None:
                self.sync.recorded(each, weight)
                way = _way(detours, offset, route) if detours else route
                proof = None if mark is None else mark.proof(offset, first, count)
                ctx.effects.append(Record(each, created, body, way, proof))
            elif each not in ledger:
                lost += 1
            elif not self._is_same(each, body):
                conflict += 1
            elif each not in self.sync.ways:
                strayed += 1
        if ledger.given_up:
            self.sync.tell_gaps()
        return conflict, lost, strayed

    def _is_same(self, each: MessageId, body: bytes) -> bool:
        """Return True if ``body`` is known to be what was recorded as ``each``."""
        if self.ledger.digests.same((each.origin, each.incarnation), each.sequence, body):
            return True
        return self._recent.get(each) == digest_of([body])


def _way(detours: list[Detour], offset: int, route: list[Hop]) -> list[Hop]:
    """Return the route of one message of a broadcast."""
    for detour in detours:
        if detour.first <= offset < detour.first + detour.count:
            return detour.hops
    return route
