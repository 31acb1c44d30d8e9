"""What a node reports of a broadcast: to the node that gave it a range, and to its own program.

If the origin asks for names or signatures, each node adds its own to the report, and passes on what
the reports of its delegates name (:class:`Witness`). The origin checks the signatures; nodes on the
way do not, because a false one can only be left out. A report has room for a limited number, and
what does not fit is left out as well. With signatures the receipt is partial if fewer nodes are
named than were counted, whatever the reason.
"""

from __future__ import annotations

from chordnet.core.base.effects import BroadcastDone, WitnessedDone
from chordnet.core.base.limits import MAX_WITNESS_BYTES
from chordnet.core.base.messages import (
    Ask,
    Bcast,
    Covered,
    MarkedCovered,
    NodeRef,
    Witness,
    witness_bytes,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Fault
from chordnet.core.broadcast.cast import Branch, Cast, Casts, Tally, marked
from chordnet.core.kernel.context import Context
from chordnet.core.seals.notary import HONEST
from chordnet.core.seals.sealing import Mark, Seals

MAX_HEARD = 2 * MAX_WITNESS_BYTES
"""Bytes of the names and signatures that one broadcast brings a node; further ones are dropped."""


class Reports:
    """One node's reports."""

    def __init__(self, ctx: Context, seals: Seals) -> None:
        self._ctx = ctx
        self.seals = seals

    # ---- of what it does not pass on --------------------------------------------------------

    def covered(
        self, sender: NodeRef, message: Bcast, mark: Mark | None, *, others: bool = False
    ) -> None:
        """Report that this node has recorded a broadcast, and passes it on to no other.

        :param others: there are other nodes in the range that may lack it.
        """
        depth = len(message.hops)
        report = Covered(message.id, message.limit, 1, 0, depth, others, [])
        own = self.own(mark, message)
        self._ctx.send(sender, marked(report, own) if own else report)

    def own(self, mark: Mark | None, message: Bcast | Cast) -> list[Witness]:
        """Return what this node says of itself, if it is asked."""
        if mark is None:
            return []
        count = message.count if isinstance(message, Bcast) else len(message.bodies)
        return self.seals.witness(mark, message.id, count)

    def contradict(
        self, sender: NodeRef, message: Bcast, *, conflict: int = 0, lost: int = 0
    ) -> None:
        """Report that this node has not recorded what ``sender`` sent, and never will."""
        self._ctx.counters.add(CoreMetric.CONFLICTS if conflict else CoreMetric.GIVEN_UP_BEFORE)
        self._missed(sender, message, conflict, lost)

    def refuse(self, sender: NodeRef, message: Bcast, fault: Fault) -> None:
        """Drop a broadcast because of its seal.

        An honest sender is told, so that it does not send it again.
        """
        self.seals.refuse(sender, message.id, fault)
        if fault in HONEST:
            self._missed(sender, message, 0, 0)

    def _missed(self, sender: NodeRef, message: Bcast, conflict: int, lost: int) -> None:
        ctx, depth = self._ctx, len(message.hops)
        report = Covered(message.id, message.limit, 0, 0, depth, True, [ctx.me], conflict, lost)
        ctx.send(sender, report)

    # ---- of what it passes on ---------------------------------------------------------------

    def heard(self, casts: Casts, cast: Cast, branch: Branch, message: Covered) -> None:
        """Take the names that the report of a delegate brings."""
        mark = cast.mark
        if mark is None or not mark.ask or not isinstance(message, MarkedCovered):
            return
        size = witness_bytes(message.witnesses)
        if mark.heard + size <= MAX_HEARD:
            mark.heard += size
            casts.weigh(cast, size)
            branch.witnesses = message.witnesses

    def receipt(
        self, cast: Cast, tally: Tally, offset: int, op: int, witnesses: list[Witness]
    ) -> BroadcastDone:
        """Return the receipt of one message of a broadcast of this node.

        :param witnesses: the nodes named, each once and checked.
        """
        shared, message_id = len(cast.ops), cast.id.plus(offset)
        done = tally.receipt(op, message_id, shared)
        mark = cast.mark
        if mark is None or not mark.ask:
            return done
        unsigned = 0
        if mark.ask == Ask.SIGNATURE:
            unsigned = max(0, done.recorded - len(witnesses))
        return WitnessedDone(
            done.op,
            done.id,
            done.recorded,
            done.messages,
            done.depth,
            done.partial or unsigned > 0,
            done.unreached,
            done.shared,
            done.reason,
            done.conflict,
            done.lost,
            witnesses,
            unsigned,
            cast.id.sequence,
            mark.tree.path(offset),
        )

    def receipts(self, cast: Cast, tally: Tally) -> None:
        """Hand the program the receipts of its messages."""
        mark, witnesses = cast.mark, tally.witnesses
        if mark is not None and mark.ask:
            count = len(cast.bodies)
            witnesses = self.seals.credible(mark, cast.id, count, witnesses, cast.created)
        for offset, op in enumerate(cast.ops):
            self._ctx.effects.append(self.receipt(cast, tally, offset, op, witnesses))
