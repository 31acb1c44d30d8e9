"""Successor lists that others offer: what of one this node can use.

Usable are the nodes up to the first that is no further round the ring than the one before it, or is
this node itself; those held for dead, and earlier lives of known nodes, are left out. A list is cut
to the ``successors`` that a node keeps.
"""

from __future__ import annotations

from chordnet.core.context import Context
from chordnet.core.messages import NodeRef, Ping


class Offers:
    """Judges offered lists for one node."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._offered: list[NodeRef] = []
        """The list offered last, what was usable of it, and the version of the peers by which that
        was judged."""
        self._usable: list[NodeRef] = []
        self._judged_by = -1

    def usable(self, offered: list[NodeRef]) -> list[NodeRef]:
        """Return what is usable of an offered list: live, in order, no further than round."""
        peers = self._ctx.peers
        # At rest the same list is offered time and again.
        if peers.any_dead or peers.version != self._judged_by or offered != self._offered:
            self._offered, self._judged_by = offered, peers.version
            self._usable = self._pick(offered)
        return self._usable

    def _pick(self, offered: list[NodeRef]) -> list[NodeRef]:
        ctx, result, last = self._ctx, list[NodeRef](), 0
        for node in offered:
            if node.raw == ctx.me.raw:
                break
            if ctx.peers.is_old(node):
                continue
            if ctx.peers.is_dead(node, ctx.now):
                # Its neighbours hold it for alive: after a partition or a pause they are right.
                if ctx.peers.to_ask(node, ctx.now):
                    ctx.send(node, Ping(ctx.rid()))
                continue
            distance = ctx.distance(node)
            if distance <= last:
                break
            last = distance
            result.append(node)
            if len(result) == ctx.config.successors:
                break
        return result
