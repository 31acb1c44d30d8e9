"""A hostile peer beside a storm: it greets whichever nodes are up, and lies at a steady rate.

It is no member, though it says to its neighbours that it is one. It learns which numbers the nodes
have used by comparing ledgers with them, as any program can. Its frames are those of the attacks
that ``tests/net`` makes one by one, drawn at random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol

from benchmarks.hostile import HostilePeer, hop, identity
from chordnet.core.base import messages as msg
from chordnet.core.base.messages import EdgeKind, MessageId, NodeRef, PeerMessage, Status
from chordnet.net.base.addresses import parse_address
from chordnet.survey.waiting import pause

BURSTS_S = 0.25
"""Pause between two lies, on average; one lie is up to a few dozen frames."""
CONNECTIONS = 4
"""That it has at the same time, each with another node if it can."""
SILENT = 8
"""Connections that say nothing, beside them."""
FAR = (1 << 20, 1 << 40, 1 << 60)
NEVER = (1 << 62) - 1
FORGED = "forged"
"""The body that stands under numbers of others."""


class Hostile:
    """The peer.

    Args:
        reactor: Twisted's.
        rng: What it says is drawn from.
        addresses: Of the nodes.
        network: Their network's name.
    """

    def __init__(self, reactor: Any, rng: Random, addresses: Sequence[str], network: str) -> None:
        self._reactor = reactor
        self._rng = rng
        self._addresses = addresses
        self._network = network
        self._over = False
        self._peers: list[HostilePeer] = []
        self._silent: list[Protocol] = []
        self._used: dict[tuple[bytes, int], int] = {}
        self.nodes: dict[bytes, NodeRef] = {}
        self.told: Counter[str] = Counter()
        """How many frames of each kind of lie it has sent."""
        self.refused = 0
        self._kinds: dict[str, Callable[[HostilePeer, NodeRef], list[PeerMessage]]] = {
            "lost": self._lost, "ahead": self._ahead, "number": self._number,
            "ledger": self._ledger, "headers": self._headers, "pointers": self._pointers,
            "member": self._member, "origins": self._origins,
        }  # fmt: skip

    async def run(self) -> None:
        """Lie until `stop`."""
        while not self._over:
            await pause(self._reactor, BURSTS_S * 2 * self._rng.random())
            self._peers = [peer for peer in self._peers if not peer.lost]
            if len(self._peers) < CONNECTIONS:
                await self._greet()
            elif self._rng.random() < 0.05:
                self._peers[0].hang_up()
            self._lie()
        for protocol in (*self._peers, *self._silent):
            if protocol.transport is not None:
                protocol.transport.abortConnection()

    def stop(self) -> None:
        """Say nothing new."""
        self._over = True

    def summary(self) -> str:
        """Return what it has said, in one line."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.told.items()))
        return f"a hostile peer sent {self.told.total()} frames ({kinds})"

    # ---- connections ------------------------------------------------------------------------

    async def _greet(self) -> None:
        rng, address = self._rng, self._rng.choice(self._addresses)
        now = int(self._reactor.seconds() * 1000)
        me = identity(f"X{rng.randrange(4)}", "127.0.0.1:9", now)
        if self.nodes and rng.random() < 0.2:  # it takes the name of a node
            node = rng.choice(list(self.nodes.values()))
            me = identity(node.name, "127.0.0.1:9", rng.choice((now, NEVER)))
        peer = HostilePeer(me, network=self._network)
        peer.on_message = self._heard
        if await self._connect(address, peer):
            self._peers.append(peer)
        silent = Protocol()
        if await self._connect(rng.choice(self._addresses), silent):
            self._silent = [*self._silent, silent][-SILENT:]

    async def _connect(self, address: str, protocol: Protocol) -> bool:
        host, port = parse_address(address)
        endpoint = TCP4ClientEndpoint(self._reactor, host, port, timeout=2)
        try:
            await endpoint.connect(Factory.forProtocol(lambda: protocol))
        except ConnectError:
            return False
        await pause(self._reactor, 0.02)
        return True

    def _heard(self, message: PeerMessage) -> None:
        if isinstance(message, msg.Have):
            for state in message.origins:
                key = state.origin, state.incarnation
                self._used[key] = max(_last(state), self._used.get(key, 0))

    # ---- lies -------------------------------------------------------------------------------

    def _lie(self) -> None:
        ready = [peer for peer in self._peers if peer.welcomed and not peer.lost]
        self.refused += sum(peer.welcome is not None and not peer.welcomed for peer in self._peers)
        if not ready:
            return
        peer = self._rng.choice(ready)
        node = peer.welcome.node
        self.nodes[node.raw] = node
        kind = self._rng.choice(list(self._kinds))
        frames = self._kinds[kind](peer, self._rng.choice(list(self.nodes.values())))
        self.told[kind] += len(frames)
        peer.send(*frames)

    def _next(self, victim: NodeRef) -> int:
        return self._used.get((victim.raw, victim.incarnation), 0) + 1

    def _lost(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        first = MessageId(victim.raw, victim.incarnation, self._next(victim))
        ranges = [msg.Range(first.origin, first.incarnation, first.sequence, NEVER)]
        return [msg.Lost(ranges), msg.Given(True), msg.Want(ranges)]

    def _ahead(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        first = self._next(victim) + self._rng.choice(FAR)
        limit = self._rng.choice(list(self.nodes))
        return [peer.bcast(victim, first + 300 * k, [b"x"] * 8, limit) for k in range(4)]

    def _number(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        first = self._next(victim) + self._rng.randrange(20)
        return [peer.bcast(victim, first, [FORGED.encode()], self._rng.choice(list(self.nodes)))]

    def _ledger(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        rng, first = self._rng, self._next(victim)
        known = rng.choice(([1, first + 5], [first + 3, NEVER], [1, NEVER], []))
        state = msg.OriginState(victim.raw, victim.incarnation, known)
        return [msg.Compare(rng.getrandbits(63)), msg.Have([], [], [state])]

    def _headers(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        limit, draw = self._rng.choice(list(self.nodes)), self._rng.getrandbits(40)
        over = [hop(f"{draw} {k}".rjust(255, "n")) for k in range(150)]
        return [
            peer.bcast(identity(f"{draw}-{k}", "", 1), 1, None, limit, over=over) for k in range(8)
        ]

    def _origins(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        limit, draw = self._rng.choice(list(self.nodes)), self._rng.getrandbits(40)
        kind = self._rng.choice((EdgeKind.FINGER, EdgeKind.SUCCESSOR, EdgeKind.BACKFILL))
        return [
            peer.bcast(identity(f"o{draw}-{k}", "", 1), 1, [b"x"], limit, kind=kind)
            for k in range(8)
        ]

    def _pointers(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        rng = self._rng
        nobody = identity(f"nobody-{rng.randrange(1000)}", f"127.0.0.1:{rng.randrange(1, 99)}", 1)
        some = list(self.nodes.values())
        low, high, key = rng.choice(some).raw, rng.choice(some).raw, rng.randbytes(20)
        return [
            msg.TryMerge(nobody, 8), msg.FingerHint(nobody, True, low, high, 64),
            msg.FingerHint(victim, False, low, high, 64), msg.Leaving(nobody, [nobody, *some]),
            msg.Find(rng.randrange(1000), nobody, key, 0, [], 9, True),
            msg.Found(rng.randrange(1000), nobody, [], None), msg.FindFailed(1, "no"),
            msg.Next(rng.randrange(1000), True, [nobody], True, None),
        ]  # fmt: skip

    def _member(self, peer: HostilePeer, victim: NodeRef) -> list[PeerMessage]:
        some, rid = list(self.nodes.values()), self._rng.randrange(1000)
        state = msg.State(rid, int(Status.ACTIVE), msg.RingLabel(0, 1), victim, some[:8], None)
        return [msg.Notify(), msg.Changed(), state, msg.Pong(rid, int(Status.LEFT))]


def _last(state: msg.OriginState) -> int:
    """Return the greatest number that is known, of those that are not far ahead."""
    return max((end - 1 for end in state.known[1::2] if end < FAR[0]), default=0)
