"""A running node without its lifecycle: core, connections, log, and what can be asked of it.

- Each request is answered through a callback, once, with either the result or a
  :class:`ChordnetError`. The service turns callbacks into Deferreds, the server into replies. When
  the node ends, the requests that still wait are answered with an error.
- What one turn publishes is one event for the core, so that it may share one tree.
- A node that can record nothing leaves its ring immediately; it still answers what it knows.

The core's effects that answer requests are performed here, those that concern the message log in
:mod:`chordnet.net.runtime.history`, and those that only report something in
:mod:`chordnet.net.observe.notices`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from chordnet import __version__
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import (
    BroadcastDone,
    FingersChanged,
    Gap,
    Joined,
    Judged,
    LeftRing,
    LookupDone,
    Mailed,
    Misbehaved,
    PeerDied,
    PeersKnown,
    Record,
    RingChanged,
    SealRefused,
    SendStored,
    StatusChanged,
    Traced,
    Verify,
    Walked,
    WitnessedDone,
)
from chordnet.core.base.errors import (
    BroadcastFailed,
    Busy,
    ChordnetError,
    LookupFailed,
    NoStore,
    NotInRing,
)
from chordnet.core.base.events import (
    Begin,
    FindOwner,
    Leave,
    Publish,
    PublishAsking,
    Start,
    Walk,
)
from chordnet.core.base.identifiers import between_right
from chordnet.core.base.messages import Ask, NodeRef, Status
from chordnet.net.base.allowance import Load
from chordnet.net.base.interfaces import (
    Core,
    KeyStore,
    LookupDoneWith,
    MessageLog,
    ReceiptDone,
)
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.enrol.membership import Membership
from chordnet.net.links.greeters import Clients, Door
from chordnet.net.links.transport import PeerTransport
from chordnet.net.observe.hooks import Hooks
from chordnet.net.observe.notices import Notices
from chordnet.net.observe.traces import Traces
from chordnet.net.observe.views import Views, broadcast_failure, lookup_failure
from chordnet.net.runtime.history import History
from chordnet.net.runtime.keeping import recent_messages
from chordnet.net.runtime.receipts import asked
from chordnet.net.runtime.runner import Runner, Surroundings
from chordnet.net.serve.permissions import Permissions
from chordnet.net.store.counts import held
from chordnet.net.store.keys import NO_STORE, Keys
from chordnet.net.store.orders import StoreOrders
from chordnet.net.store.runner import StoreRunner
from chordnet.net.store.standing import Standings
from chordnet.net.store.state import held_keys, store_state
from chordnet.wire.keys import check_store_key
from chordnet.wire.phrases import check_key, check_phrase
from chordnet.wire.rpc import (
    FingerEntry,
    LookupResult,
    MessageRecord,
    NodeInfo,
    NodeStatus,
)
from chordnet.wire.stores import HeldKey, StoreState

T = TypeVar("T")

MOST_MEMBERS = 1024
"""Of a ring whose members are listed."""


class LocalNode:
    """Ties one core to its connections, its log and its subscribers.

    :param keep_peers: called with the peers worth keeping on disk.
    :param store: makes what reads and writes keys, for this node; None if it keeps no store.
    :param membership: makes what deals with certificates, for this node; None if it is not secured.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        core: Core,
        config: ProtocolConfig,
        log: MessageLog,
        hooks: Hooks | None = None,
        keep_peers: Callable[[list[NodeRef]], None] = lambda _peers: None,
        store: Callable[[LocalNode], KeyStore | StoreRunner] | None = None,
        membership: Callable[[LocalNode], Membership] | None = None,
    ) -> None:
        self._shared = shared
        self.me = shared.me
        self.core = core
        self.network = shared.network
        self.config = config
        self.log = log
        self.journal = shared.journal
        self.limits = shared.limits
        self.space = shared.space
        self.views = Views(self.space)
        self.traces = Traces(config.max_batch)
        self.clock = shared.reactor
        self.wall = shared.wall
        self._seconds = shared.seconds
        self._started_at = shared.seconds()
        self._op = 0
        self.load = Load(shared.limits.in_flight_bytes)
        self._broadcasts: dict[int, tuple[str, int, float, Collection[str], ReceiptDone]] = {}
        self._lookups: dict[int, tuple[str, int, LookupDoneWith]] = {}
        self._walks: dict[int, Callable[[Walked | ChordnetError], None]] = {}
        self._leavers: list[Callable[[], None]] = []
        keys = None if store is None else store(self)
        self.store = keys if isinstance(keys, StoreRunner) else None
        """This node's part of the network's store."""
        self.keys = Keys(shared, keys, check_member=self._check_member, load=self.load)
        """Reads and writes of keys."""
        self.orders = StoreOrders(shared.turn, self.store, self.me.name, self._check_member)
        """What people can order the store to do."""
        self.standings = Standings(shared.reactor, shared.turn, self.store)
        """What is found out about the nodes that hold slots with this one."""
        self.failure = ""
        """Why this node had to leave its ring for good; empty if it did not."""
        self._outbox: dict[Ask, list[tuple[int, bytes]]] = {}
        self.frame_limit = shared.frame_limit
        self.membership = None if membership is None else membership(self)
        self.turn = shared.turn
        surround = partial(self._surround, hooks or Hooks(self.journal), keep_peers)
        self.runner = Runner(self.clock, self.turn, core, self.journal, shared.seconds, surround)

    def _surround(
        self,
        hooks: Hooks,
        keep_peers: Callable[[list[NodeRef]], None],
        runner: Runner,
    ) -> Surroundings:
        """Build what performs the core's effects and reports events to ``runner``."""
        self._notices = Notices(
            self.me,
            turn=self.turn,
            journal=self.journal,
            hooks=hooks,
            traces=self.traces,
            keep_peers=keep_peers,
            wall=self.wall,
        )
        self.transport = PeerTransport(
            self._shared,
            on_down=runner.down if self.store is None else self.store.heeding(runner.down),
            names=self.core,
            post=runner.post,
            bundles=self.membership.spreading if self.membership is not None else None,
        )
        self.history = History(
            self._shared,
            self.log,
            hooks=hooks,
            views=self.views,
            transport=self.transport,
            post=runner.post,
            failed=self._fail,
        )
        self.turn.join(self.history)
        return Surroundings(self.transport, self._performers(), self.history.rest)

    @property
    def permissions(self) -> Permissions:
        """What decides what each client may do."""
        shared = self._shared
        return Permissions(shared.cookies, shared.ports, shared.wall)

    def door(self, clients: Clients) -> Door:
        """Return the factory for this node's listening port."""
        enrol = self.membership.desk.attend if self.membership is not None else None
        return Door(
            self._shared,
            self.transport,
            clients,
            self.core.standing,
            enrol,
            self.permissions.operates,
        )

    def start(
        self, bootstrap: Sequence[str], known: Sequence[NodeRef], *, alone: bool = False
    ) -> None:
        """Begin to join a ring through ``bootstrap`` addresses or peers ``known`` from before.

        :param alone: create a ring if none of them answers.
        """
        addresses = [*bootstrap, *(peer.address for peer in known)]
        self.transport.trust(addresses)
        if self.membership is not None:
            self.membership.start(addresses)
        with self.turn:
            recent = recent_messages(self.log, self.wall() - self.config.broadcast_deadline_s)
            ledger, wall = self.log.ledger(), self.wall()
            self.runner.post(Start(list(bootstrap), list(known), ledger, recent, alone, wall))

    def begin(self) -> None:
        """Create a ring now, unless the node is in one or about to be."""
        with self.turn:
            self.runner.post(Begin())

    # -- what can be asked -----------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether the node is a member of a ring."""
        return self.core.status() is Status.ACTIVE and not self.failure

    @property
    def joined(self) -> bool:
        """Whether the node is a member that both its neighbours have accepted."""
        return self.active and self.core.has_joined

    @property
    def state(self) -> str:
        """The node's status in one word, as clients see it."""
        return "failed" if self.failure else self.core.status().name.lower()

    @property
    def reason(self) -> str:
        """Why it is in no ring, in words; empty if the state says enough."""
        return self.failure or self.core.reason

    def publish(
        self,
        body: str,
        done: ReceiptDone,
        *,
        receipt: str = "counted",
        expect: Collection[str] = (),
    ) -> None:
        """Broadcast ``body``; ``done`` gets the receipt.

        :param receipt: what it says of the nodes that record the message.
        :param expect: names of nodes without which it is partial.
        :raises LocalProtocolError: signatures are asked for, and this node has no certificate; or
            ``expect`` has too many names.
        :raises InvalidMessage: ``body`` is not one phrase without white space.
        :raises NotInRing: the node is not a member of a ring.
        :raises Busy: too many broadcasts, or too many bytes of them, are in flight.
        """
        encoded = check_phrase(body, self.config.max_body_bytes)
        ask = asked(receipt, expect, signs=self._shared.credentials is not None)
        self._check_member()
        if len(self._broadcasts) >= self.config.max_broadcasts:
            raise Busy(f"{len(self._broadcasts)} broadcasts are in flight; retry after a moment")
        self.load.take(len(encoded))
        self._op += 1
        self._broadcasts[self._op] = (body, len(encoded), self._seconds(), expect, done)
        # Clients that publish in the same turn share one tree, and so its messages and its commit.
        if not self._outbox:
            self.turn.before(self._publish_outbox)
        self._outbox.setdefault(ask, []).append((self._op, encoded))

    def _publish_outbox(self) -> None:
        """Publish all of this turn's messages together, so that they may share one tree."""
        outbox, self._outbox = self._outbox, {}
        for ask, messages in outbox.items():
            wall = self.wall()
            event = PublishAsking(messages, wall, ask) if ask else Publish(messages, wall)
            self.runner.post(event)

    def find(self, key: str, done: LookupDoneWith, *, iterative: bool = False) -> None:
        """Look up the owner of ``key``; ``done`` gets it and the path.

        :raises NotInRing: the node is not a member of a ring.
        :raises Busy: too many lookups are in flight.
        :raises LocalProtocolError: ``key`` is not a text.
        """
        encoded = check_key(key)
        self._check_member()
        if len(self._lookups) >= self.config.max_lookups:
            raise Busy(f"{len(self._lookups)} lookups are in flight; retry after a moment")
        self._op += 1
        identifier = self.space.hash(encoded)
        self._lookups[self._op] = (key, identifier, done)
        self.runner.post(FindOwner(self._op, self.space.raw(identifier), iterative))

    def owns(self, key: str) -> bool:
        """Return True if this node owns ``key`` as far as it knows."""
        predecessor, identifier = self.core.predecessor, self.space.hash(check_key(key))
        return (
            predecessor is not None
            and self.active
            and between_right(predecessor.id, identifier, self.me.id)
        )

    def walk(self, limit: int, done: Callable[[Walked | ChordnetError], None]) -> None:
        """Walk round the ring once, over ``limit`` members at most; ``done`` gets what was seen."""
        self._op += 1
        self._walks[self._op] = done
        with self.turn:
            self.runner.post(Walk(self._op, limit))

    def members(self, done: Callable[[list[NodeInfo] | ChordnetError], None]) -> None:
        """Find out who is in the ring; ``done`` gets its members in order, this node first."""
        self._check_member()

        def walked(seen: Walked | ChordnetError) -> None:
            if isinstance(seen, ChordnetError):
                done(seen)
            elif seen.problem:
                done(LookupFailed(f"the walk round the ring did not come round: {seen.problem}"))
            else:
                done(self.views.nodes(seen.members))

        self.walk(MOST_MEMBERS, walked)

    def _walked(self, effect: Walked) -> None:
        done = self._walks.pop(effect.op, None)
        if done is not None:
            done(effect)

    def messages(self, limit: int = 0, since: str = "") -> list[MessageRecord]:
        """Return kept messages in the order received: those after ``since``, at most ``limit``.

        Without ``since`` the newest ``limit``; 0 means all of them.

        :raises KeyError: ``since`` is not kept here.
        """
        count = min(limit or len(self.log), len(self.log))
        kept = self.log.after(since, count) if since or not limit else self.log.newest(count)
        return [self.views.message(stored) for stored in kept]

    def status(self) -> NodeStatus:
        """Return this node's view of itself and its neighbours."""
        core, views = self.core, self.views
        predecessor = core.predecessor
        return NodeStatus(
            node=views.node(self.me),
            network=self.network,
            version=__version__,
            bits=self.space.bits,
            incarnation=self.me.incarnation,
            state=self.state,
            predecessor=views.node(predecessor) if predecessor is not None else None,
            successors=views.nodes(core.successors),
            fingers=[FingerEntry(index, views.node(ref)) for index, ref in core.finger_slots],
            ring=views.label(core.label),
            messages=len(self.log),
            keys=0 if self.store is None else self.store.machine.stock[0],
            uptime=self._seconds() - self._started_at,
            counters=self.counters(),
            reason=self.reason,
            joined=self.active and self.core.has_joined,
            security=self._shared.security,
        )

    def counters(self) -> dict[str, int]:
        """Return counts of what happened since the start, and of what is held now.

        The names are those of :data:`chordnet.net.base.metrics.METRICS`.
        """
        return {
            **self.core.counters,
            **self.journal.counters.named(),
            NetMetric.DIALS.row.name: self.transport.dials_made,
            NetMetric.CONNECTIONS.row.name: len(self.turn.open),
            **({} if self.store is None else held(self.store.machine)),
        }

    def store_state(self, first: int = 0) -> tuple[StoreState, bool]:
        """Return what this node knows of the store, from slot ``first`` on, and if there is more.

        A reply has as many slots as fit.
        """
        return store_state(self.keys.store, first)

    def held_keys(self, after: str, *, owned: bool) -> tuple[list[HeldKey], bool]:
        """Return the keys that this node holds after one of them, and whether there are more.

        :raises NoStore: it keeps none.
        :raises InvalidKey: no key can be called like that.
        """
        begin = check_store_key(after) if after else None
        return held_keys(self.keys.store, begin, owned=owned)

    def vacate(self) -> None:
        """Begin to give up all slots of the store.

        :raises NoStore: this node keeps no store, or it has stopped.
        """
        if self.store is None:
            raise NoStore(NO_STORE)
        with self.turn:
            self.store.vacate()

    def leave(self, done: Callable[[], None]) -> None:
        """Leave the ring in order; ``done`` is called when that is over."""
        if self.core.status() is Status.LEFT or self.failure:
            done()
            return
        self._leavers.append(done)
        if self.core.status() is not Status.LEAVING:
            self.runner.post(Leave())

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called after turns that recorded messages; return what ends that."""
        return self.history.follow(callback)

    def stop(self) -> None:
        """Stop protocol and timers and say goodbye on all connections with peers."""
        self._end("the node is shutting down")

    def _end(self, reason: str) -> None:
        self.runner.stop()
        if self.membership is not None:
            self.membership.stop()
        if self.store is not None:
            self.store.stop(reason)
        self.transport.stop(reason)
        for _key, _identifier, found in _take(self._lookups):
            found(NotInRing(reason))
        for walked in _take(self._walks):
            walked(NotInRing(reason))
        self.keys.end(reason)
        unkept, self.history.unkept = self.history.unkept, []
        waiting = [done for *_, done in _take(self._broadcasts)]
        for done in waiting + [done for done, _receipt in unkept]:
            done(BroadcastFailed(f"{reason}; what became of the message is not known"))

    def _fail(self, why: str) -> None:
        if self.failure:  # the first reason is the one that explains the others
            return
        self.failure = f"{self.me.name} has left its ring: {why}"
        self.journal.counters.add(NetMetric.LOG_FAILURES)
        self.journal.error("left the ring: {why}", why=why)
        # Not in the middle of the commit or effect that failed, but still within this turn.
        self.turn.before(partial(self._end, self.failure))

    def _check_member(self) -> None:
        if self.failure:
            raise NotInRing(self.failure)
        if not self.active:
            reason = self.core.reason
            raise NotInRing(
                f"{self.me.name} is {self.state}, not in a ring"
                + (f": {reason}" if reason else "; wait and ask again")
            )

    # -- what the core asks for ------------------------------------------------------------------

    def _performers(self) -> dict[type, Callable[[Any], None]]:
        history, notices = self.history, self._notices
        performers: dict[type, Callable[[Any], None]] = {
            Record: history.record,
            SendStored: history.send_stored,
            Gap: history.gap,
            LookupDone: self._lookup_done,
            Walked: self._walked,
            Verify: lambda effect: self.transport.verify(effect.node),
            Judged: self.transport.judged,
            Joined: notices.fire_later,
            BroadcastDone: self._broadcast_done,
            WitnessedDone: self._broadcast_done,
            LeftRing: self._left_ring,
            StatusChanged: notices.status_changed,
            RingChanged: notices.ring_changed,
            FingersChanged: notices.fire_later,
            PeerDied: notices.peer_died,
            PeersKnown: notices.peers_known,
            Traced: notices.traced,
            Misbehaved: notices.misbehaved,
            SealRefused: notices.seal_refused,
            Mailed: lambda _effect: None,
        }
        return performers if self.store is None else self.store.performing(performers)

    def _lookup_done(self, effect: LookupDone) -> None:
        entry = self._lookups.pop(effect.op, None)
        if entry is None:
            return
        key, identifier, done = entry
        if effect.owner is None:
            done(lookup_failure(effect.reason))
            return
        views = self.views
        done(
            LookupResult(
                key, self.space.hex(identifier), views.node(effect.owner), views.nodes(effect.path)
            )
        )

    def _broadcast_done(self, effect: BroadcastDone) -> None:
        entry = self._broadcasts.pop(effect.op, None)
        if entry is None:
            return
        body, size, began, expect, done = entry
        self.load.give(size)
        if effect.id is None:
            done(broadcast_failure(effect.reason))
            return
        receipt = self.views.receipt(effect, body, self._seconds() - began, expect)
        history = self.history
        # Alone in its ring the node confirms the message in the turn that records it.
        if history.fresh:
            history.unkept.append((done, receipt))
        else:
            done(receipt)

    def _left_ring(self, effect: LeftRing) -> None:
        leavers, self._leavers = self._leavers, []
        for done in leavers:
            done()
        self._notices.fire_later(effect)


def _take(table: dict[int, Any]) -> list[Any]:
    entries = list(table.values())
    table.clear()
    return entries
