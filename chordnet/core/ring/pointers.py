"""This node's place in the ring: predecessor, successor list, label; and what changes them.

Source: P. Zave, "Reasoning about identifier spaces: How to make Chord correct", IEEE TSE 43(12),
2017 (arXiv:1610.01140). The operations on the state are files of their own:

- *join* is here: when member m answers, with self in (m, m.successor), take m's whole list, and m
  as predecessor, in one step;
- *stabilise* keeps the successor list right (``stabilise.py``);
- *rectify* keeps the predecessor right (``rectify.py``);
- a neighbour that leaves offers the nodes that take its place (``leave.py``).

The predecessor is never set to nothing. A ring of one has an empty list and itself as predecessor.
:class:`Offers` judges which nodes of an offered list are taken.

A node has *joined* when both neighbours have taken it in (:class:`Adoption`). The predecessor does
so by notifying this node, or by asking it as its successor; the successor, by naming it as its
predecessor. A new neighbour has to do so again. A ring of one has taken itself in. A node that has
joined remains so for the rest of its life: it may be left alone, but no tree of its ring passes it
by because it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable

from chordnet.core.base.effects import Joined, RingChanged
from chordnet.core.base.events import Standing
from chordnet.core.base.identifiers import between, between_right
from chordnet.core.base.messages import Changed, NodeRef, Ping, RingLabel, State
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.membership import MEMBER
from chordnet.core.kernel.signals import (
    LABEL_SEEN,
    PLACED,
    PREDECESSOR_CHANGED,
    SUCCESSORS_CHANGED,
)


class Adoption:
    """What the neighbours of one node have said."""

    def __init__(self) -> None:
        self.joined = False
        """Whether both have taken this node in, at some time in this life."""
        self.before = False
        """Whether the predecessor has said that this node is its successor."""
        self.behind = False
        """Whether the successor has said that this node is its predecessor."""
        self.answered = False
        """Whether the successor has said so, or named a node that this one believes dead."""

    def complete(self, *, alone: bool) -> bool:
        """Return True once: when both neighbours have taken this node in."""
        if self.joined or not (alone or (self.before and self.behind)):
            return False
        self.joined = True
        return True


class Offers:
    """Successor lists that others offer to one node: which nodes of one can be used.

    A list is usable up to the first node that is no further round the ring than the one before it,
    or that is this node itself. Nodes believed dead, and earlier lives of known nodes, are left
    out. The list is cut to the ``successors`` that a node keeps.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._offered: list[NodeRef] = []
        """The list offered last, the usable part of it, and the version of the peers then."""
        self._usable: list[NodeRef] = []
        self._judged_by = -1

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
            if node.raw == ctx.me.raw:
                self.notice_twin(node)
                break
            if self.is_another(node):
                continue
            if ctx.peers.is_dead(node, ctx.now):
                # Its neighbours believe it alive; after a partition or a pause they are right.
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


class Pointers:
    """Predecessor and successor list of one node."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._safe = ctx.config.safeguards
        self.predecessor: NodeRef | None = None
        self.heard_at = ctx.now
        """When the predecessor was heard from last, or became the predecessor."""
        self.successors: list[NodeRef] = []
        self.label: RingLabel | None = None
        self.before: RingLabel | None = None
        """The label that was given up for this one."""
        self.adoption = Adoption()
        self.offers = Offers(ctx)

    # ---- reading ----------------------------------------------------------------------------

    @property
    def head(self) -> NodeRef:
        """The successor; this node itself in a ring of one."""
        return self.successors[0] if self.successors else self._ctx.me

    def owns(self, key: int) -> bool:
        """Return True if key lies in (predecessor, self]."""
        predecessor = self.predecessor
        if predecessor is None:
            return False
        return between_right(predecessor.id, key, self._ctx.my_id)

    def predecessor_is_dead(self) -> bool:
        """Return True if the predecessor died and no node has taken its place yet."""
        predecessor = self.predecessor
        return predecessor is not None and self._ctx.peers.is_dead(predecessor, self._ctx.now)

    def is_between(self, node: NodeRef, head: NodeRef) -> bool:
        """Return True if ``node`` lies between this node and ``head``, and may be alive."""
        ctx = self._ctx
        return (
            between(ctx.my_id, node.id, head.id)
            and not ctx.peers.is_dead(node, ctx.now)
            and not self.offers.is_another(node)
        )

    def standing(self) -> Standing:
        """Return what this node says about itself when it is dialled."""
        label = self.label if self._ctx.status in MEMBER else None
        return Standing(self._ctx.me, int(self._ctx.status), label, self.before)

    def heard(self, peer: NodeRef) -> None:
        """Note that a message of ``peer`` has arrived."""
        predecessor = self.predecessor
        if predecessor is not None and peer.raw == predecessor.raw:
            self.heard_at = self._ctx.now

    # ---- entering ---------------------------------------------------------------------------

    def create(self, label: RingLabel) -> None:
        """Become a ring of one."""
        self.label = label
        self.predecessor, self.heard_at = self._ctx.me, self._ctx.now
        self.successors = []
        self._ctx.tell(PLACED)
        self._report()

    def join(self, member: NodeRef, state: State) -> None:
        """Take the place after ``member``, which has answered ``state``."""
        self.label = state.label
        self.predecessor, self.heard_at = member, self._ctx.now
        # The member may still name an earlier life of ours.
        offered = [node for node in state.successors if node.raw != self._ctx.me.raw]
        if not self._safe.whole_list:
            offered = offered[:1]
        self.successors = self.offers.usable(offered) or [member]
        self._open_links(self.successors)
        self._ctx.tell(PLACED)
        self._report()
        self._ctx.tell(SUCCESSORS_CHANGED, None)
        self._ctx.tell(PREDECESSOR_CHANGED, None)

    def place(self, label: RingLabel, predecessor: NodeRef, successors: Iterable[NodeRef]) -> None:
        """Set these pointers, as if the ring had been at rest for a long time."""
        self.label, self.predecessor, self.successors = label, predecessor, list(successors)
        self.adoption.joined = self.adoption.behind = self.adoption.answered = True
        self._report()

    # ---- being taken in ---------------------------------------------------------------------

    def taken_in_by(self, node: NodeRef) -> None:
        """Note that ``node`` has this node as its successor."""
        if node == self.predecessor:
            self.adoption.before = True
            self.check_joined()

    def named_by_successor(self) -> None:
        """Note that the successor has this node as its predecessor."""
        self.adoption.behind = True
        self.check_joined()

    def check_joined(self) -> None:
        """Report once that both neighbours have taken this node in."""
        alone = not self.successors and self.predecessor == self._ctx.me
        if self._ctx.is_member and self.adoption.complete(alone=alone):
            self._ctx.effects.append(Joined())

    # ---- changing ---------------------------------------------------------------------------

    def list_from(self, head: NodeRef, its_list: list[NodeRef]) -> list[NodeRef]:
        """Return the list to take over with a new head."""
        return [head, *(its_list if self._safe.whole_list else self.successors[1:])]

    def adopt(self, offered: list[NodeRef]) -> None:
        """Take over the usable part of an offered list, unless it is empty."""
        new = self.offers.usable(offered)
        if new and new != self.successors:
            self.set_successors(new)

    def set_successors(self, new: list[NodeRef]) -> None:
        """Set the successor list; tell the predecessor and the parts concerned."""
        old = self.successors
        old_head = old[0] if old else None
        self.successors = new
        if not new or old_head != new[0]:
            self.adoption.behind = self.adoption.answered = False
        self._open_links([node for node in new if node not in old])
        if self.predecessor is not None and self.predecessor.raw != self._ctx.me.raw:
            self._ctx.send(self.predecessor, Changed())
        self._report()
        self._ctx.tell(SUCCESSORS_CHANGED, old_head)

    def set_predecessor(self, new: NodeRef) -> None:
        """Set the predecessor; tell the parts concerned."""
        old, self.predecessor, self.heard_at = self.predecessor, new, self._ctx.now
        self.adoption.before = False
        self._report()
        self._ctx.tell(PREDECESSOR_CHANGED, old)

    def take_label(self, state: State, sender: NodeRef) -> None:
        """Report the label of a neighbour's ring if it is not ours."""
        if state.label is not None and state.label != self.label:
            self._ctx.tell(LABEL_SEEN, state.label, sender)

    def set_label(self, label: RingLabel) -> None:
        """Set the label of the ring that this node belongs to."""
        self.before, self.label = self.label, label
        self._report()

    def _open_links(self, nodes: list[NodeRef]) -> None:
        """Ping nodes that were just taken over on another node's word.

        This shows which of them are dead, and the open connection shows when one dies later.
        """
        for node in nodes:
            if not self._ctx.peers.spoken_to(node):
                self._ctx.send(node, Ping(self._ctx.rid()))

    def _report(self) -> None:
        self._ctx.effects.append(RingChanged(self.predecessor, list(self.successors), self.label))
