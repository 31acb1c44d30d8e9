"""Ask many nodes in parallel what they see, over connections that are kept open.

A node that does not answer delays only its own answer. Members of the ring that are not nodes of
the network (a node started by hand may join it) are found through the others' tables and asked as
well, if they can be reached from here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, overload

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as ReactorTimeout

from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.survey.description import NetworkDescription
from chordnet.survey.waiting import Clock, gather
from chordnet.wire.receipts import ReceiptKind
from chordnet.wire.rpc import (
    LookupResult,
    MessageRecord,
    MessageTrace,
    MessageTrail,
    NodeHistory,
    NodeInfo,
    NodeStatus,
    Order,
    OrderedEntry,
    Receipt,
    Written,
)
from chordnet.wire.stores import HeldKey, KeyMembers, SlotRecovery, StoreStanding, StoreState
from chordnet.wire.trust.members import InviteReply, NodeCertificates

T = TypeVar("T")

MAX_VISITORS = 64
"""The most members from outside the network that are asked as well."""


class Members(Protocol):
    """The part of :class:`chordnet.client.membership.MembershipCalls` that is used here."""

    def certificates(self) -> Deferred[NodeCertificates]: ...
    def invite(
        self, role: str, *, name: str, prefix: str, uses: int, lifetime_s: float
    ) -> Deferred[InviteReply]: ...
    def give_bundle(self, bundle: bytes) -> Deferred[int]: ...
    def issuer_request(self) -> Deferred[bytes]: ...
    def certify_issuer(self, certificate: bytes) -> Deferred[float]: ...


class Client(Protocol):
    """The part of :class:`chordnet.client.P2PNetClient` that is used here."""

    @property
    def membership(self) -> Members: ...
    def send_message(
        self,
        body: str,
        wait: bool = True,
        *,
        receipt: ReceiptKind = "counted",
        expect: Sequence[str] = (),
    ) -> Deferred[Receipt]: ...
    def get_messages(self, limit: int = 0, since: str = "") -> Deferred[list[MessageRecord]]: ...
    def get_ordered(self, limit: int = 0, since: str = "") -> Deferred[list[OrderedEntry]]: ...
    def follow(
        self, callback: Callable[[Any], object], since: str = "", order: Order = "received"
    ) -> Any: ...
    def status(self) -> Deferred[NodeStatus]: ...
    def begin(self) -> Deferred[None]: ...
    def lookup(self, key: str, iterative: bool = False) -> Deferred[LookupResult]: ...
    @overload
    def get(
        self, key: str, *, stale: Literal[False] = False, timeout_s: float = ...
    ) -> Deferred[Entry | None]: ...
    @overload
    def get(
        self, key: str, *, stale: Literal[True], timeout_s: float = ...
    ) -> Deferred[StaleEntry]: ...
    def watch(
        self, key: str, callback: Callable[[Revision], object], *, since: int | None
    ) -> Any: ...
    def held_keys(
        self, limit: int = 0, after: str = "", *, owned: bool = False
    ) -> Deferred[list[HeldKey]]: ...
    def put(
        self,
        key: str,
        value: bytes,
        *,
        if_version: int | None,
        expires_s: float | None,
        request: bytes | None,
        since: int | None,
        timeout_s: float,
    ) -> Deferred[Written]: ...
    def delete(
        self,
        key: str,
        *,
        if_version: int | None,
        request: bytes | None,
        since: int | None,
        timeout_s: float,
    ) -> Deferred[Written]: ...
    def store_state(self) -> Deferred[StoreState]: ...
    def vacate(self) -> Deferred[None]: ...
    def can_stop(self) -> Deferred[StoreStanding]: ...
    def inspect(self, key: str) -> Deferred[KeyMembers]: ...
    def recover(
        self, slots: Sequence[int], *, accept_loss: bool, timeout_s: float
    ) -> Deferred[list[SlotRecovery]]: ...
    def begin_store(self, founders: Sequence[str]) -> Deferred[None]: ...
    def set_store_aside(self, formation: str) -> Deferred[str]: ...
    def trace(self, message_id: str) -> Deferred[MessageTrace]: ...
    def history(self) -> Deferred[NodeHistory]: ...
    def trails(self, limit: int = 0, since: str = "") -> Deferred[list[MessageTrail]]: ...
    def close(self) -> Any: ...


Connect = Callable[[str], Client]
"""Makes a client for ``host:port``."""


@attrs.frozen
class NoAnswer:
    """A node did not answer."""

    why: str


@attrs.frozen
class Snapshot:
    """What the members of a ring said at one moment."""

    statuses: Mapping[int, NodeStatus]
    """The answers of the network's nodes, by number."""
    silent: Mapping[int, str]
    """Nodes that did not answer, and why."""
    visitors: Mapping[str, NodeStatus | NodeInfo] = attrs.field(factory=dict)
    """Members that are no nodes of the network, by identifier; a NodeInfo did not answer."""

    @property
    def failed(self) -> frozenset[int]:
        """Nodes that have left their ring for good: they answer, but do not come back."""
        return frozenset(n for n, status in self.statuses.items() if status.state == "failed")


def mentioned(status: NodeStatus) -> Iterator[NodeInfo]:
    """Return every node that a node points at."""
    if status.predecessor is not None:
        yield status.predecessor
    yield from status.successors
    yield from (finger.node for finger in status.fingers)


def _status(client: Client) -> Deferred[NodeStatus]:
    return client.status()


class Observer:
    """Asks the nodes of one network.

    :param connect: makes a client for an address.
    :param patience: seconds that one answer may take.
    """

    def __init__(
        self, reactor: Clock, network: NetworkDescription, connect: Connect, patience: float = 2.0
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._connect = connect
        self._patience = patience
        self._clients: dict[str, Client] = {}
        self._own = {network.space.hex(network.identifier(n)) for n in network.numbers}

    def client(self, address: str) -> Client:
        """Return the one client for ``address``."""
        if address not in self._clients:
            self._clients[address] = self._connect(address)
        return self._clients[address]

    async def ask(
        self,
        address: str,
        question: Callable[[Client], Deferred[T]],
        patience: float | None = None,
    ) -> T | NoAnswer:
        """Return the answer, or why there is none.

        :param patience: seconds that it may take; None for the observer's own.

        A client that failed is dropped: the next question makes a new connection.
        """
        seconds = self._patience if patience is None else patience
        try:
            return await question(self.client(address)).addTimeout(seconds, self._reactor)
        except ReactorTimeout:
            self._drop(address)
            return NoAnswer(f"nothing heard for {seconds:g} s")
        except ChordnetError as problem:
            self._drop(address)
            return NoAnswer(str(problem))

    async def _status(self, address: str) -> NodeStatus | NoAnswer:
        return await self.ask(address, _status)

    def _drop(self, address: str) -> None:
        client = self._clients.pop(address, None)
        if client is not None:
            client.close()

    async def statuses(self, numbers: Collection[int]) -> Snapshot:
        """Ask only those nodes, in parallel."""
        ordered = sorted(numbers)
        answers = await gather(self._status(self._network.address(n)) for n in ordered)
        found = list(zip(ordered, answers, strict=True))
        return Snapshot(
            statuses={n: answer for n, answer in found if isinstance(answer, NodeStatus)},
            silent={n: answer.why for n, answer in found if isinstance(answer, NoAnswer)},
        )

    async def snapshot(self, numbers: Collection[int]) -> Snapshot:
        """Ask those nodes and the visitors among the members."""
        own = await self.statuses(numbers)
        return attrs.evolve(own, visitors=await self._visitors(own))

    async def _visitors(self, own: Snapshot) -> dict[str, NodeStatus | NodeInfo]:
        found: dict[str, NodeStatus | NodeInfo] = {}
        asked = list(own.statuses.values())
        while asked:
            new = {
                node.id: node
                for status in asked
                for node in mentioned(status)
                if node.id not in self._own and node.id not in found
            }
            infos = list(new.values())[: MAX_VISITORS - len(found)]
            answers = await gather(self._visit(info) for info in infos)
            found |= {info.id: answer for info, answer in zip(infos, answers, strict=True)}
            asked = [answer for answer in answers if isinstance(answer, NodeStatus)]
        return found

    async def _visit(self, info: NodeInfo) -> NodeStatus | NodeInfo:
        answer = await self._status(info.address)
        right = isinstance(answer, NodeStatus) and answer.node.id == info.id
        return answer if isinstance(answer, NodeStatus) and right else info

    async def messages(self, number: int, limit: int = 0) -> list[MessageRecord] | NoAnswer:
        """Return what a node has recorded, oldest first: the newest ``limit``, or everything."""
        return await self.messages_at(self._network.address(number), limit)

    async def messages_at(self, address: str, limit: int = 0) -> list[MessageRecord] | NoAnswer:
        """Return what the node at ``address``, a visitor say, has recorded."""
        return await self.ask(address, lambda c: c.get_messages(limit))

    async def history(self, address: str, patience: float) -> NodeHistory | NoAnswer:
        """Return which messages a node has recorded and keeps."""
        return await self.ask(address, lambda c: c.history(), patience)

    async def store_state(self, address: str) -> StoreState | NoAnswer:
        """Return what a node knows of the store."""
        return await self.ask(address, lambda c: c.store_state())

    async def certificates(self, address: str) -> NodeCertificates | NoAnswer:
        """Return what a node knows of certificates."""
        return await self.ask(address, lambda c: c.membership.certificates())

    async def trace(self, address: str, message_id: str) -> MessageTrace | NoAnswer:
        """Return what a node knows of a message's way."""
        return await self.ask(address, lambda c: c.trace(message_id))

    def close(self) -> None:
        """Close every connection."""
        for address in list(self._clients):
            self._drop(address)
