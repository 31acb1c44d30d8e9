"""Reports of what the core notices, to the operator and to the embedding program.

The protocol does not depend on any of it. The operator's log is written immediately; the program's
callbacks are called after the turn's messages have left, so that they delay nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chordnet.core.base.effects import (
    Misbehaved,
    PeerDied,
    PeersKnown,
    RingChanged,
    SealRefused,
    StatusChanged,
    Traced,
)
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.addresses import is_loopback, parse_address
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.observe.hooks import Hooks
from chordnet.net.observe.traces import Traces


class Notices:
    """Performs the effects that only report something.

    :param me: the node that reports.
    :param keep_peers: called with the peers worth keeping on disk.
    :param traces: remembers what happened to broadcasts.
    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(
        self,
        me: NodeRef,
        *,
        turn: Turn,
        journal: Journal,
        hooks: Hooks,
        traces: Traces,
        keep_peers: Callable[[list[NodeRef]], None],
        wall: Callable[[], float],
    ) -> None:
        self._me = me
        self._turn = turn
        self._journal = journal
        self._hooks = hooks
        self._traces = traces
        self._keep_peers = keep_peers
        self._wall = wall
        self._neighbours: tuple[bytes, bytes] = (b"", b"")
        self._told_of_far_ones = False

    def fire_later(self, effect: object) -> None:
        """Call the callbacks for effects of this type after the turn."""
        if self._hooks.wanted(type(effect)):
            self._turn.after(partial(self._hooks.fire, effect))

    def status_changed(self, effect: StatusChanged) -> None:
        """Log the node's new status."""
        note = self._journal.warn if effect.reason else self._journal.info
        note(
            "is {state} (was {before}){reason}",
            state=effect.new.name.lower(),
            before=effect.old.name.lower(),
            reason=f": {effect.reason}" if effect.reason else "",
        )
        self.fire_later(effect)

    def ring_changed(self, effect: RingChanged) -> None:
        """Log the neighbours, if they have changed."""
        before, after = effect.predecessor, effect.successors[0] if effect.successors else None
        neighbours = (before.raw if before else b"", after.raw if after else b"")
        if neighbours != self._neighbours:
            self._neighbours = neighbours
            self._warn_of_far_ones(before, after)
            self._journal.info(
                "stands between {before} and {after}",
                before=before.name if before else "nobody",
                after=after.name if after else self._me.name,
            )
        self.fire_later(effect)

    def _warn_of_far_ones(self, *neighbours: NodeRef | None) -> None:
        """Say once that other machines do not reach this node, if its ring extends to them."""
        if self._told_of_far_ones or not _is_here(self._me):
            return
        far = [each for each in neighbours if each is not None and not _is_here(each)]
        if far:
            self._told_of_far_ones = True
            self._journal.warn(
                "{peer} is at {address}, and other machines do not reach this node at {own}: have"
                " it listen for them, with an identity or with --insecure",
                peer=far[0].name,
                address=far[0].address,
                own=self._me.address,
            )

    def peer_died(self, effect: PeerDied) -> None:
        """Log that a peer is dead or has left."""
        what = "has left" if effect.left else "is dead"
        self._journal.info("{peer} {what}", peer=effect.peer.name or effect.peer.address, what=what)
        self.fire_later(effect)

    def peers_known(self, effect: PeersKnown) -> None:
        """Have the known peers kept for the next start."""
        self._keep_peers(effect.peers)
        self.fire_later(effect)

    def traced(self, effect: Traced) -> None:
        """Count and remember what happened to a broadcast."""
        self._journal.counters.add(NetMetric.BROADCAST, effect.what.name.lower())
        self._traces.note(effect, self._wall())
        self.fire_later(effect)

    def misbehaved(self, effect: Misbehaved) -> None:
        """Log, within limits, that a peer broke a rule."""
        self._journal.limited(
            NetMetric.MISBEHAVED,
            "{peer} broke a rule: {reason}",
            peer=effect.peer.name or effect.peer.address,
            reason=effect.reason[:200],
        )
        self.fire_later(effect)

    def seal_refused(self, effect: SealRefused) -> None:
        """Log, within limits, that a message was dropped because of its seal."""
        self._journal.limited(
            NetMetric.SEALS_TOLD,
            "a message of {origin}, passed on by {peer}, was not recorded: {reason}",
            origin=effect.id.origin.hex()[:16],
            peer=effect.peer.name or effect.peer.address,
            reason=str(effect.reason),
        )


def _is_here(node: NodeRef) -> bool:
    return is_loopback(parse_address(node.address)[0])
