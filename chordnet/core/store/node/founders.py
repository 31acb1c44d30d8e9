"""Temporary."""

from __future__ import annotations

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import FoundingKept, Keep, NodeEffect, VoteKept
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.node.hails import Hail
from chordnet.core.store.node.settings import StoreSettings


class Founders:
    """Temporary."""

    def __init__(self, settings: StoreSettings, me: Member, kept: Kept) -> None:
        self.settings, self.me, self.kept = settings, me, kept
        self.vote = kept.vote
        self.founding = kept.founding
        self.heard: dict[str, Hail] = {}

    def hail(self, vacating: bool, *, asks: bool) -> Hail:
        s = self.settings
        return Hail(
            self.me.store,
            self.kept.run,
            s.seat,
            vacating,
            s.network,
            s.bits,
            self.founding,
            s.founders,
            s.slots,
            s.replicas,
            self.vote,
            asks,
        )

    def begin(self) -> list[NodeEffect]:
        return self._look()

    def on_hail(self, sender: str, hail: Hail) -> list[NodeEffect]:
        self.heard[sender] = hail
        if self.founding is None and hail.founding is not None:
            self.founding = hail.founding
            return [Keep((FoundingKept(hail.founding),))]
        return self._look()

    def _look(self) -> list[NodeEffect]:
        s = self.settings
        out: list[NodeEffect] = []
        if self.founding is not None or self.me.node not in s.founders:
            return []
        others = [n for n in s.founders if n != self.me.node]
        if any(n not in self.heard for n in others):
            return []
        if self.vote is None:
            members = [self.me, *(Member(n, self.heard[n].store) for n in others)]
            self.vote = Founding(s.network, s.bits, s.slots, s.replicas, tuple(sorted(members)))
            out.append(Keep((VoteKept(self.vote),)))
        if all(self.heard[n].vote == self.vote for n in others):
            self.founding = self.vote
            out.append(Keep((FoundingKept(self.vote),)))
        return out
