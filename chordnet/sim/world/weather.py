"""Faults of the network between hosts: rules, and the links that they apply to.

A rule names the senders and receivers that it applies to, and what it does there. Rules add up;
``heal`` removes them all. A *block* loses every message silently, as a partition does. A *clog*
holds messages back until it ends, as a stuck connection does. Both work in one direction; both
directions take two rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from chordnet.core.base.messages import PeerMessage
from chordnet.sim.world.host import Host, Link

MAX_CLOGGED = 65536
"""Messages that one clogged link holds; more are lost."""


@attrs.frozen
class Rule:
    """One fault on the way from any of ``sources`` to any of ``targets``."""

    sources: frozenset[str]
    targets: frozenset[str]
    block: bool = False
    clog: bool = False
    delay: float = 0.0
    loss: float = 0.0

    def applies(self, source: str, target: str) -> bool:
        """Return True if the rule is about this way."""
        return source in self.sources and target in self.targets


class Weather:
    """All rules in force, and the faults that any message may meet.

    ``loss``, ``duplicate`` and ``reorder`` are probabilities; a duplicate or reordered message
    travels outside the order of its connection and arrives up to ``spread`` seconds later.
    """

    def __init__(self, loss: float) -> None:
        self.loss = loss
        self.duplicate = 0.0
        self.reorder = 0.0
        self.spread = 0.05
        self.rules: list[Rule] = []

    @property
    def calm(self) -> bool:
        """Whether no message meets with anything but its latency."""
        return not (self.loss or self.duplicate or self.reorder or self.rules)

    def parts(self, source: str, target: str) -> bool:
        """Return True if a rule blocks the way between two addresses, in one direction at least."""
        return any(
            rule.block and (rule.applies(source, target) or rule.applies(target, source))
            for rule in self.rules
        )

    def partition(self, groups: Iterable[frozenset[str]]) -> list[Rule]:
        """Return the rules that cut ``groups`` off from one another, both ways."""
        parts = list(groups)
        return [Rule(a, b, block=True) for a in parts for b in parts if a is not b]

    def expose(self, link: Link) -> list[PeerMessage]:
        """Let the rules work on ``link``; return the messages that a clog sets free."""
        source, target = link.source.ref.address, link.target.ref.address
        rules = [rule for rule in self.rules if rule.applies(source, target)]
        link.blocked = any(rule.block for rule in rules)
        link.delay = sum(rule.delay for rule in rules)
        kept = 1.0
        for rule in rules:
            kept *= 1.0 - rule.loss
        link.loss = 1.0 - kept
        if any(rule.clog for rule in rules):
            if link.clogged is None:
                link.clogged = deque()
            return []
        freed = list(link.clogged or ())
        link.clogged = None
        return freed

    def change(self, hosts: Iterable[Host]) -> list[tuple[Link, list[PeerMessage]]]:
        """Apply the rules, which have changed, to every link; return what clogs set free."""
        return [
            (link, freed)
            for host in hosts
            for link in host.links.values()
            if (freed := self.expose(link))
        ]
