"""The nodes that this one has heard of, and which of them it believes dead.

- One life of every node is known, the first that was heard of; ``identities.py`` decides if another
  one replaces it. Pointers to an older life, or to one that was given up, are dropped.
- A dead incarnation is kept out of tables that peers offer until it is heard from or its time is
  up, so that a neighbour's stale list does not bring it back.
- Other nodes that go on pointing at a dead node may be right, so it is asked now and then.
- Audits look for lost parts of the ring among the known peers, dead ones included. The table is
  limited: first to go are peers that have never answered a question of ours, and of these the one
  not heard of for longest. Only peers that have answered, and those that our pointers lead to, are
  worth keeping on disk, because any program can call us.
"""

from __future__ import annotations

from collections.abc import Container

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import NodeRef

MAX_SPOKEN = 4096
"""Nodes for which it is remembered that they have sent us a message."""
PEERS_PAUSE_S = 2.0
"""Shortest pause between two reports of changed known peers to the runtime."""


class PeerBook:
    """Known and dead peers by raw identifier."""

    def __init__(self, config: ProtocolConfig, me: NodeRef) -> None:
        self._config = config
        self._me = me
        # Plain dictionaries keep their order, too, and take less memory and time than OrderedDict.
        self._known: dict[bytes, NodeRef] = {}
        self._answered: set[bytes] = set()
        self._dead: dict[bytes, tuple[int, float]] = {}
        self._asked: dict[bytes, float] = {}
        self._departed: dict[bytes, int] = {}
        self._spoken: dict[bytes, int] = {}
        self._void: dict[bytes, int] = {}
        """The highest incarnation of a node that was given up for a lower one."""
        self.changed = False
        """Whether the known peers changed since the runtime was last told."""
        self.version = 0
        """Grows whenever the answers of ``is_old`` or ``is_dead`` may change, except by time."""

    @property
    def known(self) -> list[NodeRef]:
        """Known peers, in the order in which they were last heard of."""
        return list(self._known.values())

    def worth_keeping(self, used: Container[bytes]) -> list[NodeRef]:
        """Return the known peers that have answered a question of ours or that are ``used``.

        They are in the order in which they were last heard of.
        """
        answered = self._answered
        return [ref for raw, ref in self._known.items() if raw in answered or raw in used]

    def answered(self, ref: NodeRef) -> bool:
        """Note that ``ref`` has answered a question of ours; return True the first time."""
        if ref.raw in self._answered or ref.raw not in self._known:
            return False
        self._answered.add(ref.raw)
        self.changed = True
        return True

    def get(self, raw: bytes) -> NodeRef | None:
        """Return the newest pointer to a node."""
        return self._known.get(raw)

    def is_old(self, ref: NodeRef) -> bool:
        """Return True if a later incarnation of ``ref`` is known."""
        known = self._known.get(ref.raw)
        if known is not None and ref.incarnation != known.incarnation:
            given_up = self._void.get(ref.raw, -1)
            if ref.incarnation < known.incarnation or ref.incarnation <= given_up:
                return True
        return ref.incarnation < self._spoken.get(ref.raw, 0)

    def differs(self, ref: NodeRef) -> bool:
        """Return True if another life of ``ref``, or one at another address, is known."""
        known = self._known.get(ref.raw)
        return known is not None and (
            known.incarnation != ref.incarnation or known.address != ref.address
        )

    def replace(self, ref: NodeRef) -> None:
        """Make ``ref`` the known life of its node, whatever was known before."""
        raw = ref.raw
        known = self._known.pop(raw, None)
        if known is not None and known.incarnation > ref.incarnation:
            self._void[raw] = max(known.incarnation, self._void.get(raw, 0))
            if len(self._void) > MAX_SPOKEN:
                del self._void[next(iter(self._void))]
        self._known[raw] = ref
        for table in (self._dead, self._departed, self._asked, self._spoken):
            table.pop(raw, None)
        self.changed = True
        self.version += 1

    def is_life_of(self, ref: NodeRef, dead: NodeRef) -> bool:
        """Return True if ``ref`` points to the life that died, or to an older one."""
        if ref.raw != dead.raw or ref.incarnation > dead.incarnation:
            return False
        return ref.incarnation == dead.incarnation or ref != self._known.get(ref.raw)

    def note(self, ref: NodeRef) -> NodeRef | None:
        """Remember ``ref``; return the older incarnation that it supersedes, if there was one."""
        if ref.raw == self._me.raw or not ref.raw:
            return None
        known = self._known.get(ref.raw)
        if known is None:
            self._known[ref.raw] = ref
            self.changed = True
            self.version += 1
            if len(self._known) > self._config.max_known_peers:
                self._forget_one()
            return None
        newer = ref.incarnation > known.incarnation
        del self._known[ref.raw]
        self._known[ref.raw] = ref if newer else known
        if newer:
            self.changed = True
            self.version += 1
        return known if newer else None

    def _forget_one(self) -> None:
        *others, _newest = self._known
        gone = next((raw for raw in others if raw not in self._answered), others[0])
        del self._known[gone]
        self._answered.discard(gone)

    def is_routine(self, ref: NodeRef) -> bool:
        """Return True if ``ref`` is known and alive, and its message changes nothing.

        Note that it was heard from just now. This is the short way for nearly every message.
        """
        raw = ref.raw
        if self._spoken.get(raw) != ref.incarnation or raw in self._dead:
            return False
        known = self._known.pop(raw, None)
        if known is None:
            return False
        self._known[raw] = known
        return known.address == ref.address

    def heard(self, ref: NodeRef) -> bool:
        """Note that ``ref`` has sent a message; return True if it was believed dead."""
        if self._spoken.get(ref.raw) != ref.incarnation:
            self._spoken[ref.raw] = ref.incarnation
            self.version += 1
            if len(self._spoken) > MAX_SPOKEN:
                del self._spoken[next(iter(self._spoken))]
        if self._departed.get(ref.raw) == ref.incarnation:
            return False
        self._asked.pop(ref.raw, None)
        if self._dead.pop(ref.raw, None) is None:
            return False
        self.version += 1
        return True

    def departed(self, ref: NodeRef, now: float) -> None:
        """Note that ``ref`` leaves on purpose: what it still says does not bring it back."""
        self.died(ref, now)
        self._departed[ref.raw] = ref.incarnation
        if len(self._departed) > self._config.max_known_peers:
            del self._departed[next(iter(self._departed))]

    def has_met(self, raw: bytes) -> bool:
        """Return True if any incarnation of a node has ever sent us a message."""
        return raw in self._spoken

    def spoken_to(self, ref: NodeRef) -> bool:
        """Return True if this incarnation of ``ref`` has ever sent us a message."""
        return self._spoken.get(ref.raw) == ref.incarnation

    def died(self, ref: NodeRef, now: float) -> None:
        """Note that this incarnation of ``ref`` is dead."""
        known = self._known.get(ref.raw)
        if known is not None and known.incarnation < ref.incarnation:
            return  # it was never verified that such a life existed
        if len(self._dead) >= 4 * self._config.max_known_peers:
            self.forget(now)
        self._dead.pop(ref.raw, None)
        self._dead[ref.raw] = (ref.incarnation, now + self._config.dead_memory_s)
        self.version += 1
        self._asked[ref.raw] = now

    @property
    def any_dead(self) -> bool:
        """Whether any node is believed dead, or was until a short while ago."""
        return bool(self._dead)

    def is_dead(self, ref: NodeRef, now: float) -> bool:
        """Return True if this incarnation (or a later one) is believed dead."""
        entry = self._dead.get(ref.raw)
        return entry is not None and ref.incarnation <= entry[0] and now < entry[1]

    def to_ask(self, ref: NodeRef, now: float) -> bool:
        """Return True if it is time to ask a dead node again, and note that it is asked."""
        if self._departed.get(ref.raw) == ref.incarnation:
            return False
        if now < self._asked.get(ref.raw, now) + self._config.stabilise_idle_s:
            return False
        self._asked[ref.raw] = now
        return True

    def dead_raws(self, now: float, limit: int) -> list[bytes]:
        """Return up to ``limit`` identifiers of dead nodes, the latest deaths first."""
        alive_after = [raw for raw, (_, until) in self._dead.items() if now < until]
        return alive_after[: -limit - 1 : -1]

    def forget(self, now: float) -> None:
        """Forget deaths whose time is up, so that those nodes can be routine again."""
        kept = {raw: entry for raw, entry in self._dead.items() if now < entry[1]}
        while len(kept) >= 4 * self._config.max_known_peers:
            del kept[next(iter(kept))]
        self._dead = kept
        self.version += 1
        self._asked = {raw: at for raw, at in self._asked.items() if raw in kept}
