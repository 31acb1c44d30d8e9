"""The seams: what the parts of the runtime ask of each other, as ``typing.Protocol``s."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.internet.interfaces import (
    IConsumer,
    IPushProducer,
    IReactorTCP,
    IReactorTime,
    ITransport,
)

from chordnet.core.base.effects import Effect, Record
from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.events import Event, LinkFault, Standing
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.messages import (
    Hop,
    LedgerState,
    MessageId,
    NodeRef,
    PeerMessage,
    Range,
    RingLabel,
    Status,
)
from chordnet.core.log.ledger import OriginKey
from chordnet.core.store.base.effects import Entry as ToKeep
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.wire.rpc import LookupResult, Receipt


class IReactor(IReactorTCP, IReactorTime):
    """What a node needs of a reactor; Twisted has no single interface for it."""


class IStream(ITransport, IConsumer, IPushProducer):
    """What carries a connection: Twisted's transports of TCP, TLS and UNIX sockets."""


class Core(Protocol):
    """The protocol machine as the runtime sees it (``chordnet.core.node.ChordNode``)."""

    me: NodeRef

    @property
    def deadline(self) -> float | None:
        """When the next ``Tick`` is due, on the clock that ``now`` is read from."""

    @property
    def bound(self) -> float:
        """Lower bound on :attr:`deadline`, cheaper to read; infinite while nothing waits."""

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take one event and return what to do, in order."""

    def status(self) -> Status: ...
    @property
    def reason(self) -> str:
        """Why it is in no ring, in words; empty if the status says enough."""

    def known(self, raw: bytes) -> NodeRef | None:
        """Return the node that has this identifier, as far as is known."""

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged (``Greeted``) before it is listened to."""

    def doubt(self, node: NodeRef) -> str:
        """Return why it has to be, in words."""

    def standing(self) -> Standing:
        """Return what the node says when it is asked who it is."""

    @property
    def has_joined(self) -> bool:
        """Whether both neighbours have accepted the node."""

    @property
    def predecessor(self) -> NodeRef | None: ...
    @property
    def successors(self) -> Sequence[NodeRef]: ...
    @property
    def label(self) -> RingLabel | None: ...
    @property
    def finger_slots(self) -> Sequence[tuple[int, NodeRef]]:
        """Every slot of the finger table whose node is not this one: (index, node)."""

    @property
    def counters(self) -> dict[str, int]:
        """Counts of what happened since the start."""

    def recorded(self, after: OriginKey | None, origins: int) -> Sequence[LedgerState]:
        """Return what is recorded of up to ``origins`` origins behind ``after``, in order."""


class Transport(Protocol):
    """Carries messages to peers. Connects as needed, never raises for a peer's fault.

    Messages to one peer keep their order while one connection lasts; nothing more is promised.
    ``on_down`` is called once for each failed attempt to reach a peer.
    """

    def send(self, to: NodeRef, message: PeerMessage) -> None: ...
    def mail(self, to: NodeRef, letter: bytes) -> None:
        """Send a letter to the store of a peer, unless too much waits for that peer already.

        The store says again what has to arrive. So its letters leave room for other messages, which
        may not come again, and the connection is never cut because of them.
        """


ReceiptDone = Callable[[Receipt | ChordnetError], None]
LookupDoneWith = Callable[[LookupResult | ChordnetError], None]
"""Callbacks of requests to a node: called once, with the result or with what went wrong."""


class Down(Protocol):
    """Called when there is no connection with a peer."""

    def __call__(
        self, peer: NodeRef, fault: LinkFault, text: str = "", holder: str = ""
    ) -> None: ...


class Judge(Protocol):
    """What is known of names, as the transport sees it."""

    def known(self, raw: bytes) -> NodeRef | None:
        """Return the node that has this identifier, as far as is known."""

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged (``Greeted``) before it is listened to."""

    def doubt(self, node: NodeRef) -> str:
        """Return why it has to be, in words."""


class StoredMessage(Protocol):
    """A recorded message with the place it has in this node's log."""

    @property
    def position(self) -> int:
        """Counts from 0 for the first message ever kept."""

    @property
    def received_at(self) -> float:
        """This node's wall clock, seconds since 1970."""

    @property
    def record(self) -> Record: ...


class MessageLog(Protocol):
    """Where a node keeps its messages, in the order received."""

    @property
    def failed(self) -> str:
        """Why nothing more can be kept; empty while all is well."""

    spoiled: set[MessageId]
    """Messages that turned out to be damaged. The log drops them with the next commit; the reader
    of this set clears it, having noted that they are missing."""

    @property
    def first(self) -> int:
        """Position of the oldest message kept (of the next one, if none is)."""

    @property
    def last(self) -> int:
        """Position of the newest message kept (one before ``first``, if none is)."""

    @property
    def dropped(self) -> int:
        """How many messages were here and are not any more: positions may have holes."""

    @property
    def dropped_to(self) -> int:
        """The highest position whose message was dropped because of a limit; -1 if none was."""

    def append(self, record: Record, received_at: float) -> StoredMessage: ...
    def skip(self, ranges: Iterable[Range]) -> None:
        """Give up messages that no node keeps any more."""

    def commit(self) -> None:
        """Make what was appended and skipped as durable as this log makes anything.

        :raises LogFailed: it could not be kept; nothing since the last commit counts as recorded.
        """

    @property
    def waiting(self) -> int:
        """How many committed messages a :meth:`checkpoint` would move to their final place."""

    def checkpoint(self) -> None:
        """Do what commits have left for later. Called when no message waits to be passed on.

        :raises LogFailed: it could not be done; what was committed stays so.
        """

    def ledger(self) -> list[LedgerState]:
        """Return what an earlier life recorded, kept or not, and what it gave up."""

    def kept(self, key: OriginKey) -> Intervals:
        """Return the numbers kept of one life of one origin."""

    def __len__(self) -> int: ...
    def find(self, message_id: MessageId) -> StoredMessage | None:
        """Return a message if it is kept."""

    def newest(self, limit: int) -> Sequence[StoredMessage]:
        """Return the last ``limit`` messages, oldest first."""

    def before_newest(self, limit: int) -> int:
        """Return the position after which the newest ``limit`` messages begin."""

    def missing_beyond(self, position: int) -> int:
        """Return how many messages after ``position`` were here and are not any more."""

    def after(self, message_id: str, limit: int) -> Sequence[StoredMessage]:
        """Return up to ``limit`` messages after ``message_id`` ("" for the beginning).

        :raises KeyError: no such message is kept.
        """

    def position(self, message_id: str) -> int:
        """Return the position of ``message_id``, or for "" the one before the oldest kept.

        :raises KeyError: no such message is kept.
        """

    def beyond(self, position: int, limit: int) -> Sequence[StoredMessage]:
        """Return up to ``limit`` messages after ``position``."""

    def close(self) -> None:
        """Release what it holds."""


class StoreKeeper(Protocol):
    """Where a node's store keeps what its answers rest on."""

    @property
    def failed(self) -> str:
        """Why nothing more can be kept; empty while all is well."""

    def open(self) -> Kept:
        """Return what earlier runs have kept, for a run that begins now; called first.

        The number of this run is kept when this returns.

        :raises StoreFailed: it cannot be read or written.
        """

    def renew(self) -> tuple[Kept, str]:
        """Set aside what is kept, and begin empty; return that, and where the old store is.

        :raises StoreFailed: that is not possible.
        """

    def put(self, entry: ToKeep) -> None:
        """Have the next :meth:`commit` keep ``entry``."""

    def drop(self) -> None:
        """Forget what was put since the last commit."""

    def commit(self) -> None:
        """Make what was put as durable as this makes anything: all of it, or none.

        :raises StoreFailed: it could not be kept, or an earlier commit could not.
        """

    @property
    def waiting(self) -> int:
        """How many committed entries a :meth:`checkpoint` would move to their final place."""

    def checkpoint(self) -> None:
        """Do what commits have left for later.

        :raises StoreFailed: it could not be done; what was committed stays so.
        """

    def close(self) -> None:
        """Release what it holds."""


KeyDone = Callable[[Outcome | ChordnetError], None]
"""Called once, with how an operation on a key ended, or with why that is not known."""


Told = Callable[[Content, tuple[int, int] | None], None]
"""Called with a confirmed state of a watched key, and the first and the last version between the
one before and this that nobody has read, if there are any."""


class KeyStore(Protocol):
    """The keys of the network, as one node can read and write them."""

    def ask(self, asked: Get | Put, timeout_s: float, done: KeyDone) -> None:
        """Begin an operation; ``done`` is called once.

        An error of a write is taken to mean that it may have been done, unless it is
        :class:`NoStore` or :class:`Busy`. ``done`` may be called before this returns. Whoever runs
        the node answers for operations that wait when the node ends; ``done`` may be called then,
        too.

        :param timeout_s: ``done`` is to be called within so many seconds.
        :raises NotInRing: it cannot work now; nothing was begun.
        :raises NoStore: the node keeps no store; nothing was begun.
        :raises Busy: too much is under way; nothing was begun.
        """

    def watch(
        self, key: bytes, since: int | None, told: Told, ended: Callable[[ChordnetError], None]
    ) -> Callable[[], None]:
        """Begin to tell states of a key, in the order of their versions, each once.

        Both may be called before this returns. ``ended`` is called once, if the watch cannot go on.

        :param since: begin after this version; None: with whatever there is.
        :returns: ends the watch, if it has not ended.
        :raises NoStore: the node keeps no store; nothing was begun.
        """

    def slot_of(self, key: bytes) -> int | None:
        """Return the slot of a key; None while the node belongs to no store."""


class NodeState(Protocol):
    """What outlives a restart: the incarnation and the known peers."""

    def next_incarnation(self) -> int: ...
    def known_peers(self) -> list[NodeRef]: ...
    def keep_peers(self, peers: Sequence[NodeRef]) -> None: ...
    def close(self) -> None:
        """Release what it holds."""


__all__ = [
    "Core",
    "Down",
    "Hop",
    "KeyDone",
    "KeyStore",
    "LookupDoneWith",
    "MessageLog",
    "NodeState",
    "ReceiptDone",
    "StoreKeeper",
    "StoredMessage",
    "Transport",
]
