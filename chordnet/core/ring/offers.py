"""Successor lists that others offer: which nodes of one can be used.

A list is usable up to the first node that is no further round the ring than the one before it, or
that is this node itself. Nodes believed dead, and earlier lives of known nodes, are left out. The
list is cut to the ``successors`` that a node keeps.
"""

from __future__ import annotations

from chordnet.core.base.messages import NodeRef, Ping
from chordnet.core.kernel.context import Context


class Offers:
    """Judges offered lists for one node."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._offered: list[NodeRef] = []
        """The list offered last, the usable part of it, and the version of the peers then."""
        self._usable: list[NodeRef] = []
        self._judged_by: int | None = None

    def usable(self, offered: list[NodeRef]) -> list[NodeRef]:
        """Return the usable part of an offered list: live nodes, in order, within one round."""
        peers = self._ctx.peers
        # At rest the same list is offered again and again.
        if peers.any_dead or peers.version != self._judged_by or offered != self._offered:
            self._offered, self._judged_by = offered, peers.version
            self._usable = self._pick(offered)
        return self._usable

    def is_another(self, node: NodeRef) -> bool:
        """Return True if ``node`` is another life of a node than the one known here."""
        peers, now = self._ctx.peers, self._ctx.now
        if not peers.differs(node):
            return peers.is_old(node)
        known = peers.get(node.raw)
        elsewhere = known is not None and known.address != node.address
        if not (elsewhere or peers.is_old(node) or peers.has_met(node.raw)):
            # What is known of it is only a pointer, too: from our earlier life, or hearsay. If the
            # node has come back since, a list without it would pass it by.
            peers.note(node)
            return False
        # An older life at the same address is stale news, unless the known one is dead.
        if elsewhere or not peers.is_old(node) or peers.is_dead(node, now):
            self._ctx.hint(node)
        return True

    def notice_twin(self, node: NodeRef | None) -> None:
        """Report another node that is listed under our name."""
        if node is not None and node.raw == self._ctx.me.raw and node != self._ctx.me:
            self._ctx.hint(node)

    def _pick(self, offered: list[NodeRef]) -> list[NodeRef]:
        ctx, result, last = self._ctx, list[NodeRef](), 0
        for node in offered:
            self.notice_twin(node)
            if self.is_another(node):
                continue
            if ctx.peers.is_dead(node, ctx.now):
                # Its neighbours believe it alive; after a partition or a pause they are right.
                if ctx.peers.to_ask(node, ctx.now):
                    ctx.send(node, Ping(ctx.rid()))
                continue
            distance = ctx.distance(node)
            if distance <= last:  # it does not go on, or this is our own name, at distance 0
                break
            last = distance
            result.append(node)
            if len(result) == ctx.config.successors:
                break
        return result
