"""What the answers to clients need of a node, and what a handler sees of its client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.net.base.allowance import Load
from chordnet.net.base.interfaces import Core, LookupDoneWith, MessageLog, ReceiptDone
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.observe.traces import Traces
from chordnet.net.observe.views import Views
from chordnet.net.serve.permissions import Access
from chordnet.wire.rpc import (
    Follow,
    GetKey,
    KeyRequest,
    NodeInfo,
    NodeStatus,
    ServerReply,
    Written,
)
from chordnet.wire.stores import HeldKey, KeyMembers, SlotRecovery, StoreStanding, StoreState
from chordnet.wire.trust.members import NodeCertificates
from chordnet.wire.watches import WatchKey

T = TypeVar("T")


class Keys(Protocol):
    """Reads and writes of keys (:class:`chordnet.net.store.keys.Keys`)."""

    def are_kept_to_operators(self, key: str) -> bool:
        """Return True if only those may write this key who may operate the network."""

    def ask(
        self,
        asked: KeyRequest,
        done: Callable[[Written | Entry | StaleEntry | ChordnetError | None], None],
        *,
        operates: bool = True,
    ) -> None:
        """Begin an operation.

        :param operates: whether who asks may also write the keys that are kept to operators.
        :raises ChordnetError: it cannot be begun.
        """

    def watch(
        self,
        asked: WatchKey,
        told: Callable[[Revision], None],
        ended: Callable[[ChordnetError], None],
    ) -> Callable[[], None]: ...


class Standings(Protocol):
    """What is found out about members (:class:`chordnet.net.store.standing.Standings`)."""

    def can_stop(self, done: Callable[[StoreStanding | ChordnetError], None]) -> None: ...
    def inspect(self, key: str, done: Callable[[KeyMembers | ChordnetError], None]) -> None: ...


class Orders(Protocol):
    """What people can order a store to do (:class:`chordnet.net.store.orders.StoreOrders`)."""

    def recover(
        self,
        slots: Sequence[int],
        timeout_s: float,
        done: Callable[[list[SlotRecovery] | ChordnetError], None],
        *,
        accept_loss: bool,
    ) -> None: ...
    def begin(self, founders: Sequence[str]) -> None: ...
    def set_aside(self, formation: str) -> str: ...


class Certificates(Protocol):
    """What a node does about certificates (:class:`chordnet.net.enrol.membership.Membership`)."""

    def invite(
        self, role: str, *, name: str, prefix: str, uses: int, lifetime_s: float
    ) -> tuple[str, float]: ...
    def certificates(self) -> NodeCertificates: ...
    def give_bundle(self, data: bytes) -> int: ...
    def issuer_request(self) -> bytes: ...
    def certify_issuer(self, certificate: bytes) -> float: ...


class Node(Protocol):
    """What clients need of a node (:class:`chordnet.net.runtime.node.LocalNode`)."""

    core: Core
    log: MessageLog
    journal: Journal
    limits: NetworkLimits
    load: Load
    views: Views
    traces: Traces
    turn: Turn
    wall: Callable[[], float]

    @property
    def keys(self) -> Keys: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def standings(self) -> Standings: ...
    @property
    def membership(self) -> Certificates | None: ...
    @property
    def clock(self) -> IReactorTime: ...
    def publish(
        self,
        body: str,
        done: ReceiptDone,
        *,
        receipt: str = "counted",
        expect: Collection[str] = (),
    ) -> None: ...
    def find(self, key: str, done: LookupDoneWith, *, iterative: bool = False) -> None: ...
    def members(self, done: Callable[[list[NodeInfo] | ChordnetError], None]) -> None: ...
    def status(self) -> NodeStatus: ...
    def store_state(self, first: int = 0) -> tuple[StoreState, bool]: ...
    def held_keys(self, after: str, *, owned: bool) -> tuple[list[HeldKey], bool]:
        """Return keys that the node holds, and whether there are more.

        :raises NoStore: it keeps no store.
        """

    def vacate(self) -> None:
        """Begin to give up all slots of the store.

        :raises NoStore: the node keeps none.
        """

    def begin(self) -> None:
        """Create a ring now, unless the node is in one or about to be."""

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]: ...


class Follows(Protocol):
    """What one client follows (:class:`chordnet.net.serve.followings.Followings`)."""

    def begin(self, request: Follow) -> None:
        """Send the client the messages that it asks for.

        :raises ChordnetError: it follows too often already, or begins where nothing is kept.
        """

    def end(self, rid: int) -> None:
        """End the following ``rid``, if there is one."""


class Watches(Protocol):
    """The keys that one client watches (:class:`chordnet.net.serve.revisions.KeyWatches`)."""

    def begin(self, request: WatchKey) -> None:
        """Send the client the states of a key.

        :raises ChordnetError: it watches too many, or the node keeps no store.
        """

    def end(self, rid: int) -> None:
        """End the watch ``rid``, if there is one."""


class Asker(Protocol):
    """What a handler sees of the client (:class:`.clients.ClientSession`)."""

    access: Access
    """What it may do."""

    @property
    def node(self) -> Node: ...
    @property
    def followings(self) -> Follows: ...
    @property
    def key_watches(self) -> Watches: ...
    def later(
        self,
        rid: int,
        reply: Callable[[int, T], ServerReply | None],
        begin: Callable[..., None],
        *arguments: object,
        held: int = 0,
    ) -> None:
        """Begin something that takes time, and reply when it ends.

        :param reply: makes the reply from the request's number and the result; None for none yet.
        :param begin: called with ``arguments`` and a callback, which is to be called once: with the
            result, or with the :class:`ChordnetError` that prevented it.
        :param held: bytes of the reply that the node answers for until the client has read it.
        """

    def has_room(self, size: int) -> bool:
        """Return True if a reply of so many bytes, or none, may be sent now.

        With more, a client that asks for much at a time and reads it slowly would be cut off.
        """

    def ask_again(self, request: GetKey, size: int) -> None:
        """Handle a request once more when a reply of so many bytes may be sent."""

    @property
    def leave(self) -> Callable[[Callable[[], None]], None]:
        """Make the whole node leave in order and stop; calls back when it has left."""
