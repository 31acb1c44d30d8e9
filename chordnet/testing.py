"""Fakes for tests of programs: a network in memory, a core that follows a script.

They are written against the same seams as the real parts. With a ``twisted.internet.task.Clock``,
whole rings of :class:`chordnet.ChordService` run in virtual time without a socket::

    network = MemoryNetwork(Clock())
    node = network.service("10.0.0.1:7001", name="Node 1")
    node.startService()
    network.run(seconds=2)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, NoProtocol
from twisted.internet.error import ConnectionRefusedError as Declined
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from chordnet.core.base.effects import Effect
from chordnet.core.base.events import Event, Standing
from chordnet.core.base.messages import (
    LedgerState,
    NodeRef,
    PeerMessage,
    RingLabel,
    Status,
    StoreMail,
)
from chordnet.core.log.ledger import OriginKey
from chordnet.net.base.addresses import parse_address
from chordnet.net.base.interfaces import IStream
from chordnet.service import ChordService

WALL = 1_700_000_000.0
"""The wall clock of a :class:`MemoryNetwork` when its clock shows 0."""
STEP_S = 0.001


class MemoryNetwork:
    """Hosts, listening ports and connections in memory, on one virtual clock.

    Bytes take ``delay_s``. A host in ``frozen`` neither reads nor writes, like a stopped process;
    one in ``unreachable`` cannot be dialled.
    """

    def __init__(self, clock: Clock, delay_s: float = STEP_S) -> None:
        self.clock = clock
        self.delay_s = delay_s
        self.wall = WALL
        """The time on every wall clock when the clock shows 0."""
        self.frozen: set[str] = set()
        self.unreachable: set[str] = set()
        self.connections: list[tuple[MemoryTransport, MemoryTransport]] = []
        self._factories: dict[str, IProtocolFactory] = {}
        self._killed: set[str] = set()

    def service(self, address: str, peers: Sequence[str] = (), **options: Any) -> ChordService:
        """Return a service that listens at ``address`` in this network."""
        options.setdefault("rng", random.Random(address))
        options.setdefault("insecure", True)  # nobody else is in this network
        return ChordService(
            self.clock,
            self.server(address),
            peers,
            endpoints=self.dialling_from(address),
            seconds=self.clock.seconds,
            wall=lambda: self.wall + self.clock.seconds(),
            **options,
        )

    def server(self, address: str) -> MemoryServer:
        """Return the server endpoint at ``address``."""
        return MemoryServer(self, address)

    def dialling_from(self, source: str) -> Callable[[IReactorTime, str, float], MemoryDialler]:
        """Return a function that makes client endpoints for the program at ``source``."""
        return lambda _reactor, address, timeout_s: MemoryDialler(self, source, address, timeout_s)

    def run(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)

    def thaw(self, address: str) -> None:
        """Let a frozen host go on."""
        self.frozen.discard(address)
        for pair in self.connections:
            for transport in pair:
                transport.deliver()

    def kill(self, address: str) -> None:
        """Take a host down as a crash does: its port closes and its connections break.

        What still runs there can connect to no other host, until something listens at the address
        again.
        """
        self._factories.pop(address, None)
        self._killed.add(address)
        for pair in list(self.connections):
            if any(transport.host == address for transport in pair):
                pair[0].abortConnection()

    def bind(self, address: str, factory: IProtocolFactory) -> None:
        """Accept connections to ``address`` with ``factory``."""
        self._killed.discard(address)
        self._factories[address] = factory

    def unbind(self, address: str) -> None:
        """Refuse connections to ``address``."""
        self._factories.pop(address, None)

    def connect(self, source: str, address: str, factory: IProtocolFactory) -> IProtocol | Failure:
        """Return the protocol of a new connection, or a Failure."""
        server_factory = self._factories.get(address)
        if server_factory is None or source in self._killed:
            return Failure(Declined())
        theirs = server_factory.buildProtocol(_UNSAID)
        if theirs is None:
            return Failure(Declined())
        ours = factory.buildProtocol(_UNSAID)
        if ours is None:
            return Failure(NoProtocol())
        near, far = MemoryTransport(self, source, ours), MemoryTransport(self, address, theirs)
        near.other, far.other = far, near
        self.connections.append((near, far))
        theirs.makeConnection(far)
        ours.makeConnection(near)
        return ours


@implementer(IAddress)
class _Unsaid:
    """The address of every caller: they are not distinguished."""


_UNSAID = _Unsaid()


@implementer(IStreamServerEndpoint)
class MemoryServer:
    """An ``IStreamServerEndpoint`` of a :class:`MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self._network = network
        self._address = address

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Start to listen."""
        self._network.bind(self._address, factory)
        return succeed(MemoryPort(self._network, self._address))


@implementer(IListeningPort)
class MemoryPort:
    """An ``IListeningPort`` of a :class:`MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self._network = network
        self._address = address

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        """Return the address."""
        return IPv4Address("TCP", *parse_address(self._address))

    def startListening(self) -> None:  # noqa: N802 - Twisted's name
        """Do nothing: it listens from the start."""

    def stopListening(self) -> None:  # noqa: N802 - Twisted's name
        """Stop listening."""
        self._network.unbind(self._address)


@implementer(IStreamClientEndpoint)
class MemoryDialler:
    """An ``IStreamClientEndpoint`` of a :class:`MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, source: str, address: str, timeout_s: float) -> None:
        self._network = network
        self._source = source
        self._address = address
        self._timeout_s = timeout_s

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect after the network's delay."""
        network = self._network
        unreachable = self._address in network.unreachable
        delay = self._timeout_s if unreachable else network.delay_s
        connected: Deferred[IProtocol] = Deferred(lambda _connected: call.cancel())

        def arrive() -> None:
            if unreachable:
                connected.errback(TimedOut())
                return
            result = network.connect(self._source, self._address, factory)
            if isinstance(result, Failure):
                connected.errback(result)
            else:
                connected.callback(result)

        call = network.clock.callLater(delay, arrive)
        return connected


@implementer(IStream)
class MemoryTransport:
    """One end of a connection of a :class:`MemoryNetwork`; counts ``writes``."""

    other: MemoryTransport
    buffer_limit = 65536

    def __init__(self, network: MemoryNetwork, host: str, protocol: IProtocol) -> None:
        self.host = host
        self.protocol = protocol
        self.writes = 0
        self.reading = True
        self._network = network
        self._buffer = bytearray()
        self._producer: Any = None  # of a kind that can be paused; Twisted's type is of every kind
        self._paused = False
        self.closing = False
        self._closed = False
        self._call: IDelayedCall | None = None

    @property
    def buffered(self) -> int:
        """Bytes written and not delivered."""
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Write bytes; they arrive after the network's delay."""
        if self._closed:
            return
        self.writes += 1
        self._buffer += data
        if self._producer is not None and len(self._buffer) > self.buffer_limit:
            self._paused = True
            self._producer.pauseProducing()
        self.schedule()

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 - Twisted's name
        """Write bytes that come in pieces."""
        self.write(b"".join(data))

    def schedule(self) -> None:
        """Deliver after the network's delay."""
        if self._call is None and not self._closed:
            self._call = self._network.clock.callLater(self._network.delay_s, self._arrive)

    def _arrive(self) -> None:
        self._call = None
        self.deliver()

    def deliver(self) -> None:
        """Deliver what was written, unless one side is frozen."""
        if self._closed or not self._network.frozen.isdisjoint((self.host, self.other.host)):
            return
        if not self.other.reading:
            return
        data = bytes(self._buffer)
        self._buffer.clear()
        if data and not self.other.closing:
            self.other.protocol.dataReceived(data)
        if self._paused and not self._buffer and self._producer is not None:
            self._paused = False
            self._producer.resumeProducing()
        if self.closing and not self._buffer:
            self._end(ConnectionDone())

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Close once everything has been delivered, and stop reading."""
        self.closing = True
        self.schedule()

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Close immediately."""
        self._end(ConnectionLost())

    def _end(self, reason: Exception) -> None:
        self._network.connections = [pair for pair in self._network.connections if self not in pair]
        for transport in (self, self.other):
            transport.ended(reason)

    def ended(self, reason: Exception) -> None:
        """End the connection, and call the protocol's ``connectionLost``."""
        if not self._closed:
            self._closed = True
            if self._call is not None:
                self._call.cancel()
            self._network.clock.callLater(0, self.protocol.connectionLost, Failure(reason))

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Stop reading."""
        self.reading = False

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Read again."""
        self.reading = True
        self.other.schedule()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Close."""
        self.loseConnection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:  # noqa: N802
        """Remember the producer to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802 - Twisted's name
        """Forget the producer."""
        self._producer = None

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        """Return this side's address."""
        return IPv4Address("TCP", *parse_address(self.host))

    def getPeer(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        """Return the other side's address."""
        return IPv4Address("TCP", *parse_address(self.other.host))


@implementer(IStreamServerEndpoint)
class FailingServer:
    """An ``IStreamServerEndpoint`` that cannot listen.

    :param error: the error it fails with; None to wait until it is cancelled.
    """

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.tries = 0
        """How often :meth:`listen` was called."""

    def listen(self, _factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Fail."""
        self.tries += 1
        return Deferred() if self._error is None else fail(self._error)


class ScriptedCore:
    """A :class:`chordnet.net.base.interfaces.Core` that notes events and answers from a script.

    :param script: returns the effects for an event, or raises; by default there are none.
    """

    def __init__(
        self, me: NodeRef, script: Callable[[Event], list[Effect]] = lambda _event: []
    ) -> None:
        self.me = me
        self.script = script
        self.events: list[Event] = []
        self.times: list[float] = []
        self.deadline: float | None = None
        self.now_status = Status.UNJOINED
        self.reason = ""
        self.has_joined = False
        self.doubted: set[NodeRef] = set()
        self.predecessor: NodeRef | None = None
        self.successors: list[NodeRef] = []
        self.label: RingLabel | None = None
        self.finger_slots: list[tuple[int, NodeRef]] = []
        self.counters: dict[str, int] = {}
        self.accounts: list[LedgerState] = []

    @property
    def bound(self) -> float:
        """The deadline; infinite if there is none."""
        return float("inf") if self.deadline is None else self.deadline

    def known(self, _raw: bytes) -> NodeRef | None:
        """Return None: no other node is known."""
        return None

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` is in ``doubted``."""
        return node in self.doubted

    def doubt(self, node: NodeRef) -> str:
        """Return a line about ``node``."""
        return f"{node.name!r} is doubted"

    def standing(self) -> Standing:
        """Return a standing with the status set as ``now_status``."""
        return Standing(self.me, int(self.now_status), self.label, None)

    def status(self) -> Status:
        """Return what was set as ``now_status``."""
        return self.now_status

    def recorded(self, after: OriginKey | None, origins: int) -> Sequence[LedgerState]:
        """Return a page of what was set as ``accounts``."""
        behind = [a for a in self.accounts if after is None or (a.origin, a.incarnation) > after]
        return behind[:origins]

    def step(self, event: Event, now: float) -> list[Effect]:
        """Note the event and follow the script."""
        self.events.append(event)
        self.times.append(now)
        return self.script(event)

    def seen(self, kind: type) -> list[Any]:
        """Return the events of one type."""
        return [event for event in self.events if type(event) is kind]


class RecordingTransport:
    """A :class:`chordnet.net.base.interfaces.Transport` that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[NodeRef, PeerMessage]] = []

    def send(self, to: NodeRef, message: PeerMessage) -> None:
        """Note it."""
        self.sent.append((to, message))

    def mail(self, to: NodeRef, letter: bytes) -> None:
        """Note it."""
        self.send(to, StoreMail(letter))
