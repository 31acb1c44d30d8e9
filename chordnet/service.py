"""``ChordService``: one node of a chordnet ring as a Twisted service.

A start takes the state directory, listens, works out the advertised address and joins. A stop
leaves the ring (within a time limit), stops listening, says goodbye, closes the connections and
releases everything. A service can be stopped at any moment, even before the node has joined. What
is held between a start and a stop is in :mod:`chordnet.net.runtime.lifetime`.

Requests return Deferreds. If the node is not running they fail, and say why it could not be started
if that is the reason. Several services can run in one process; nothing is shared between them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, Unpack, get_args

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python.failure import Failure

from chordnet.core.base.effects import Joined, StatusChanged
from chordnet.core.base.errors import ChordnetError, ConfigError, LocalProtocolError, NotInRing
from chordnet.core.base.messages import Status
from chordnet.net.base.arguments import CALL, SETTING, refusing
from chordnet.net.base.callbacks import call
from chordnet.net.base.deferreds import Waiters, from_call, from_callback
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.handles.store_calls import StoreCalls
from chordnet.net.links.listening import server_endpoint
from chordnet.net.observe.hooks import Hooks, Subscription
from chordnet.net.runtime.delivery import Delivery
from chordnet.net.runtime.lifetime import Lifetime
from chordnet.net.runtime.node import LocalNode
from chordnet.net.runtime.settling import Settling
from chordnet.net.serve.reading import open_reader, trace_of
from chordnet.net.tls.credentials import credentials_of
from chordnet.seams import (
    Keywords,
    Maker,
    Seams,
    name_of,
    recorder_of,
    storage_of,
    with_keywords,
)
from chordnet.settings import NodeSettings
from chordnet.web.opening import web_port
from chordnet.wire.receipts import ReceiptKind
from chordnet.wire.rpc import (
    LookupResult,
    MessageRecord,
    MessageTrace,
    NodeInfo,
    NodeStatus,
    Order,
    Receipt,
)

_EXAMPLE = 'ChordService(reactor, "tcp:7001")'


class ChordService(StoreCalls, MultiService):
    """One node, as an ``IService``.

    :param reactor: ``IReactorTCP`` and ``IReactorTime``.
    :param listen: where peers and clients connect: a server endpoint's description
        (``"tcp:7001"``, ``"tcp:0:interface=192.0.2.7"``) or an ``IStreamServerEndpoint``; by
        default the port of the settings, 7001. Without an interface it is this machine alone.
    :param peers: addresses of nodes to join through, ``"host:port"`` or ``"tcp:host:port"``.
    :param settings: the settings of the node; ``listen`` and ``peers`` given here override them.
    :param seams: parts that a test or an embedding program replaces.
    :param keywords: single fields of ``NodeSettings`` and :class:`Seams`:

        - alone: create a ring if none of the peers answers; otherwise the node keeps asking
          (*seeking*). A node without peers creates a ring immediately.
        - name: the node's name, whose hash is its identifier; by default the address that it
          advertises. Every node of a network needs its own.
        - identity: the node's certificate and key, or the directory that they are in: the node
          lets in members of its network alone, over TLS, and has the name of its certificate.
        - network: the name of the network; nodes of different networks do not talk to each other.
        - advertise: how others reach this node, ``"host:port"`` or ``"host"``; by default the
          interface that it listens on, or this machine's own address if it listens on all.
        - state_dir: a directory for this node alone, so that it keeps its identity after a
          restart; without one nothing is kept on disk.
        - config: the protocol's settings, the same ``bits`` in the whole network.
        - durability: what a recorded message survives: the death of every process
          (``"process"``) or the loss of power too (``"power"``).
        - history_bytes: bodies and routes kept, in bytes; the oldest messages are dropped first.
        - history_s: how long a message is kept on disk, in seconds.
        - founders: the names of the nodes that begin the store, the same at each of them; a node
          without peers that holds keys is its own.
        - store: where it holds keys for others: ``"auto"`` (in ``state_dir``, if it has one),
          ``"memory"``, or ``"none"``, so that it only asks other nodes.
        - http: where ``/metrics``, ``/ready``, ``/live`` and ``/status`` are served, a port or
          ``"ADDRESS:PORT"``; None for nowhere.
        - limits: what connections may cost.
        - leave_timeout_s: how long a stop waits for the ordered leave.
        - debug: log single messages too.
        - insecure: let other machines reach the node although it has no identity.
        - cookie: the file whose content a client shows to operate the node.
        - operate_keys: keys that begin so are written by operators alone.
        - rng, log, core, endpoints, seconds, wall, keys, keeper, cookies: see :class:`Seams`.

    :raises ConfigError: a setting is unusable; the text says which and what is accepted.
    """

    # The reactor that a program imports from Twisted has the type of a module.
    def __init__(
        self,
        reactor: Any,
        listen: str | IStreamServerEndpoint | None = None,
        peers: Sequence[str] = (),
        *,
        settings: NodeSettings | None = None,
        seams: Seams | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        super().__init__()
        SETTING.methods("reactor", reactor, ("seconds", "callLater"), _EXAMPLE)
        settings, seams = with_keywords(settings, seams, dict(keywords))
        if peers != ():
            settings = attrs.evolve(settings, peers=peers)
        if settings.durability == "power" and settings.state_dir is None and seams.log is None:
            raise ConfigError(
                "durability 'power' needs a state directory: without one nothing is kept on disk"
            )
        self._reactor: IReactor = reactor
        self.settings, self.seams = settings, seams
        self._rng = seams.rng or random.Random()
        self._recorder = recorder_of(settings, seams)
        self.credentials = credentials_of(settings.identity, seams.wall, peer=True)
        """What the node shows of itself, and whom it believes; None if it is not secured."""
        listen = settings.listening(listen)
        self._endpoint = server_endpoint(reactor, listen)
        self._listen_text = str(listen)
        name = name_of(settings, self.credentials)
        self.journal = Journal(reactor.seconds, name or self._listen_text, debug=settings.debug)
        self._hooks = Hooks(self.journal)
        self._hooks.on(Joined, lambda _effect: self._active.tell(None))
        self._hooks.on(StatusChanged, self._status_changed)
        self._leave_requested: Callable[[], object] = lambda: None
        self._storage = storage_of(settings, seams, self.journal, self._rng)
        self._begun, self._active = Waiters(), Waiters()
        self._settling = Settling(reactor, seams.seconds, self._running)
        # A life that has not begun: it has no node, and and startService replaces it.
        self._life = self._new_life()

    def _new_life(self) -> Lifetime:
        return Lifetime(self._endpoint, self._listen_text, self._storage, self.journal)

    # -- start -----------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to listen and to join; :meth:`started` and :meth:`joined` wait for the outcome.

        If the service is running already, nothing happens. If the node cannot start, the reason is
        logged and the service is not ``running`` afterwards, so that it can be started again.

        :raises LocalProtocolError: it is still being stopped.
        """
        if self.running:
            return
        # Two lives would use the same port and the same state directory.
        if self._life.ending:
            raise LocalProtocolError(
                "the node is still being stopped; start it when the Deferred of stopService has"
                " fired"
            )
        super().startService()
        life = self._life = self._new_life()
        maker = Maker(
            self._reactor,
            self._rng,
            self.settings,
            self.seams,
            self.journal,
            self._hooks,
            self._storage,
            self._recorder,
            self.credentials,
        )
        beginning = life.begin(
            maker.make,
            self.settings.peers,
            self._leave_for_client,
            alone=self.settings.alone,
            beside=web_port(
                self.settings.web,
                self._reactor,
                self.journal,
                given_peers=bool(self.settings.peers),
            ),
        )
        beginning.addCallbacks(self._begun.tell, self._not_begun)

    async def __aenter__(self) -> Self:
        """Start the node, and wait until it is a member of a ring.

        :raises ConfigError: it cannot start.
        """
        self.startService()
        try:
            await self.joined()
        except BaseException:
            await self.stopService()
            raise
        return self

    async def __aexit__(self, *_why: object) -> None:
        """Leave the ring and stop."""
        await self.stopService()

    def _not_begun(self, failure: Failure) -> None:
        problem = failure.value
        assert isinstance(problem, ChordnetError)
        if self._life.ending:  # it was stopped while it was starting, which is not an error
            self.journal.info("could not start: {why}", why=str(problem))
        else:
            self.running = 0
            self.journal.error("cannot start: {why}", why=str(problem))
        for waiters in (self._begun, self._active):
            waiters.tell(problem)

    def _status_changed(self, change: StatusChanged) -> None:
        if change.new is Status.SUPERSEDED:
            self._active.tell(NotInRing(change.reason))

    def check_storage(self) -> None:
        """Check that the node's files can be opened, and close them again.

        :raises ConfigError: the state directory cannot be used, or another node uses it, or the
            file to record in cannot be written.
        :raises LogFailed: the message log cannot be opened.
        :raises StoreFailed: the files of the store cannot be opened.
        """
        if not self.running:
            try:
                self._storage.open()
                self._storage.open_store()
            finally:
                self._storage.close()
            if self._recorder is not None:
                self._recorder.check()

    # -- requests --------------------------------------------------------------------------------

    @property
    def node(self) -> LocalNode | None:
        """The running node; None before it listens and after it has stopped."""
        return self._life.node

    @property
    def address(self) -> str:
        """The advertised ``host:port``.

        :raises NotInRing: the node is not listening (yet).
        """
        return self._running().me.address

    def started(self) -> Deferred[None]:
        """Wait until the node listens.

        Fails with :class:`ConfigError` when it cannot, for example because the port is in use.
        """
        return self._wait(self._begun, self.node is not None)

    def joined(self) -> Deferred[None]:
        """Wait until the node is a member of a ring, and both its neighbours have accepted it.

        From then on every receipt in its ring counts it, while it runs and no partition separates
        it. Nodes that each began a ring of their own become one ring later: see :meth:`settled`.

        Fails with :class:`ConfigError` if the node could not be started, and with
        :class:`NotInRing` if it is stopped before.
        """
        node = self.node
        if node is not None and node.core.status() is Status.SUPERSEDED:
            return fail(NotInRing(node.reason))
        return self._wait(self._active, node is not None and node.joined)

    @refusing
    def settled(self, members: int, timeout_s: float = 30.0) -> Deferred[list[NodeInfo]]:
        """Wait until this node sees one ring with this number of members.

        That is so when a walk from successor to successor comes back to this node, and every two
        neighbours on the way name each other.

        :param members: how many nodes the ring is to have, this one included.
        :param timeout_s: seconds.
        :return: fires with the members in the order of the ring, this node first.

        Fails with :class:`TimedOut`, which says what was seen, with :class:`ConfigError` if
        ``members`` is not a number from 1 on, and with :class:`NotInRing` if the node is not
        running, or is stopped before.
        """
        if type(members) is not int or members < 1:
            return fail(ConfigError(f"members must be a whole number from 1 on, not {members!r}"))
        CALL.seconds("timeout_s", timeout_s)
        return Deferred.fromCoroutine(self._settling.wait(members, timeout_s))

    def members(self) -> Deferred[list[NodeInfo]]:
        """Find out who is in the ring, as ``P2PNetClient.members`` does."""
        return from_callback(lambda done: self._running().members(done))

    def owns(self, key: str) -> bool:
        """Return True if this node is the owner of ``key`` as far as it knows.

        That changes as nodes come and go, and two nodes may think so for a moment. To hold a key
        against others, use the store (:meth:`put`, :mod:`chordnet.recipes`).

        :raises LocalProtocolError: it is no text.
        :raises NotInRing: the node is not running.
        """
        return self._running().owns(key)

    def _wait(self, waiters: Waiters, reached: bool) -> Deferred[None]:
        if self._life.problem is not None:
            return fail(self._life.problem)
        return succeed(None) if reached else waiters.wait()

    @refusing
    def lookup(self, key: str, iterative: bool = False) -> Deferred[LookupResult]:
        """Find the owner of ``key`` and the path to it.

        Fails with :class:`NotInRing`, :class:`LookupFailed` or :class:`Busy`.
        """
        CALL.flag("iterative", iterative)
        return from_callback(lambda done: self._running().find(key, done, iterative=iterative))

    @refusing
    def broadcast(
        self, body: str, *, receipt: ReceiptKind = "counted", expect: Sequence[str] = ()
    ) -> Deferred[Receipt]:
        """Send ``body``, one phrase without white space, to every node of the ring.

        The Deferred fires with the receipt when all of them have recorded it. Arguments and
        failures are those of ``P2PNetClient.send_message``; and :class:`Busy`.
        """
        CALL.receipt(receipt, expect)
        return from_callback(
            lambda done: self._running().publish(body, done, receipt=receipt, expect=expect)
        )

    @refusing
    def messages(self, limit: int = 0, since: str = "") -> Deferred[list[MessageRecord]]:
        """Return kept messages in the order received, as ``P2PNetClient.get_messages`` does.

        Fails with :class:`LocalProtocolError` if ``since`` is not kept.
        """
        CALL.span(limit, since)
        try:
            return from_call(lambda: self._running().messages(limit, since))
        except KeyError:
            return fail(LocalProtocolError(f"no message {since!r} is kept here"))

    def status(self) -> Deferred[NodeStatus]:
        """Return the node's view of itself and its neighbours."""
        return from_call(lambda: self._running().status())

    @refusing
    def trace(self, message_id: str) -> Deferred[MessageTrace]:
        """Return what this node knows of the way of a message: its record, and what went wrong.

        Fails with :class:`LocalProtocolError` if ``message_id`` is not a message id.
        """
        CALL.text("message_id", message_id)
        return from_call(lambda: trace_of(self._running(), message_id))

    def subscribe(
        self,
        callback: Callable[[Any], object],
        *,
        since: str | None = None,
        order: Order = "received",
    ) -> Subscription | Delivery:
        """Have ``callback`` called with every message, until ``stop()`` of the returned object.

        An exception from the callback is logged and counted, and the node goes on. A coroutine
        (``async def``) is waited for before the callback is called again. If it falls 256 messages
        behind it is not called any more; with ``since`` or ``order="origin"`` that cannot happen,
        since messages are read only as fast as the callback handles them.

        :param since: begin after the message with this id; "" begins with the oldest message kept,
            None with the next one recorded.
        :param order: ``"received"``: called with a :class:`MessageRecord` each. ``"origin"``: the
            messages of one origin in ascending sequence, called with an :class:`OrderedEntry` each,
            a message or a gap.

        With ``since`` or ``order="origin"`` the node must be listening (:meth:`started`), and the
        subscription ends with it.

        :raises NotInRing: the node is not listening.
        :raises LocalProtocolError: the message ``since`` is not kept, or there is no such order.
        """
        CALL.function("callback", callback)
        CALL.one_of("order", order, get_args(Order))
        if since is not None:
            CALL.text("since", since)
        if since is None and order == "received":
            return self._hooks.on(MessageRecord, callback)
        node, deliveries = self._running(), self._life.deliveries
        reader = open_reader(node, order, since)
        delivery = Delivery(node, reader, callback, deliveries.discard)
        deliveries.add(delivery)
        return delivery

    def on(self, event_type: type, callback: Callable[[Any], object]) -> Subscription:
        """Have ``callback`` called with every event of one type.

        :param event_type: a class from ``chordnet``: ``StatusChanged``, ``Joined``,
            ``RingChanged``, ``FingersChanged``, ``PeerDied``, ``PeersKnown``, ``Misbehaved``,
            ``LeftRing`` or ``Record``; or ``MessageRecord``.
        :raises LocalProtocolError: there are no events of this type.
        """
        return self._hooks.on(event_type, callback)

    def begin(self) -> Deferred[None]:
        """Create a ring, alone at first, if the node is still looking for one."""
        return from_call(lambda: self._running().begin())

    def leave(self) -> Deferred[None]:
        """Leave the ring in order; the service keeps running, outside of any ring."""
        return from_callback(lambda done: self._running().leave(partial(done, None)))

    def on_leave_request(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called when a client made the node leave; it may stop the service."""
        CALL.function("callback", callback)
        self._leave_requested = callback

    def _leave_for_client(self, answer: Callable[[], None]) -> None:
        node = self._running()
        failed = partial(
            self.journal.failure,
            NetMetric.CALLBACK_ERRORS,
            "the callback for a leave request failed",
        )

        def left() -> None:
            answer()
            # After the answer has been flushed: the callback may stop the service.
            node.turn.after(partial(call, self._leave_requested, (), failed))

        self.journal.info("a client asks this node to leave")
        node.leave(left)

    def _running(self) -> LocalNode:
        node = self._life.node
        if node is None:
            problem = self._life.problem
            raise problem or NotInRing("the node is not running; start the service first")
        return node

    # -- stop ------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Leave the ring and close everything in order; fires when nothing is left."""
        super().stopService()
        return self._life.end(self.settings.leave_timeout_s).addCallback(self._ended)

    def _ended(self, _none: None) -> None:
        for waiters in (self._begun, self._active):
            waiters.tell(NotInRing("the node was stopped"))
        self._settling.stop()
        if self._recorder is not None:
            self._recorder.close()
