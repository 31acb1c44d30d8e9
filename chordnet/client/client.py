"""``P2PNetClient``: calls nodes, and follows their messages, without being one.

The connection is made when it is first needed, carries any number of concurrent calls, and is made
again by the next call after it was lost. Every call has a time limit. The bytes that wait to be
sent have a limit, too (``send_buffer_bytes``): beyond it a call fails immediately with ``Busy``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, get_args

from twisted.internet.defer import Deferred

from chordnet.client.calls import (
    ASIDE,
    BEGIN,
    BEGIN_STORE,
    CAN_STOP,
    INSPECT,
    LEAVE,
    LOOKUP,
    MEMBERS,
    RECOVER,
    SEND,
    STATUS,
    TRACE,
    VACATE,
)
from chordnet.client.channel import Channel
from chordnet.client.cookies import Cookies
from chordnet.client.following import Following, Listing
from chordnet.client.identities import Identities
from chordnet.client.keys import KeyCalls
from chordnet.client.membership import MembershipCalls
from chordnet.client.pages import Pages
from chordnet.client.receipts import checked
from chordnet.client.recording import ClientHistory
from chordnet.core.base.errors import Busy, ConfigError, LocalProtocolError
from chordnet.core.base.limits import RECOVERY_S
from chordnet.core.base.outcomes import Revision
from chordnet.net.base.addresses import Endpoints, client_endpoint, format_address, parse_address
from chordnet.net.base.arguments import CALL, SETTING, refusing
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.handles.key_methods import KeyMethods
from chordnet.net.handles.watching import KeyWatch
from chordnet.trust.identity import Identity
from chordnet.wire.keys import check_store_key
from chordnet.wire.phrases import check_key, check_phrase
from chordnet.wire.receipts import ReceiptKind
from chordnet.wire.rpc import (
    Follow,
    GetKey,
    KeyRequest,
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
)
from chordnet.wire.stores import HeldKey, KeyMembers, SlotRecovery, StoreStanding, StoreState

MAX_ADDRESSES = 32
"""Addresses of one client."""
_EXAMPLE = 'P2PNetClient("127.0.0.1:7001", reactor), or leave it out'


class P2PNetClient(KeyMethods):
    """A client of a network: it talks to one of its nodes at a time.

    It connects to the first address that answers. When an address cannot be reached or refuses
    this client, or the connection is lost, the next one is tried. When each has been tried once,
    the calls that wait fail, and the text says what was wrong with each address. A call that was
    sent and not answered fails when the connection is lost. It is never sent twice, since the node
    may have done what it was asked. A following ends then, too.

    Every call returns a Deferred, and may fail with :class:`ConnectFailed`, :class:`Refused`,
    :class:`TimedOut`, :class:`Busy`, or :class:`LocalProtocolError` if an argument is wrong, in
    addition to what its own description names.

    :param address: ``host:port``.
    :param more: further addresses. The reactor may be given as the last of them, by position.
    :param reactor: ``IReactorTCP`` and ``IReactorTime``; by default the process's reactor.
    :param network: refuse to talk to a node of another network; empty for any.
    :param timeout_s: how long a call may wait for its answer, in seconds.
    :param send_timeout_s: the same for :meth:`send_message`, which waits for all nodes.
    :param limits: what the connection may cost.
    :param endpoints: makes the client endpoints that nodes are dialled with.
    :param history: records what is asked of keys, and what comes of it.
    :param cookie: the file with the node's cookie, or its bytes, for calls that operate a node; by
        default those in ``CHORDNET_HOME`` are shown to nodes of this machine.
    :param identity: the client's certificate and key, or the directory that they are in, for a
        secured network; by default those that ``CHORDNET_HOME`` has for it.
    :raises ConfigError: an address or another setting is unusable; the text says which.
    """

    # The reactor that a program imports from Twisted has the type of a module.
    def __init__(
        self,
        address: str = "127.0.0.1:7001",
        *more: Any,
        reactor: Any = None,
        network: str = "",
        timeout_s: float = 15.0,
        send_timeout_s: float = 30.0,
        limits: NetworkLimits | None = None,
        endpoints: Endpoints = client_endpoint,
        history: ClientHistory | None = None,
        cookie: str | os.PathLike[str] | bytes | Cookies | None = None,
        identity: str | os.PathLike[str] | Identity | Identities | None = None,
    ) -> None:
        addresses, reactor = _split((address, *more), reactor)
        SETTING.text("network", network)
        for timeout in (timeout_s, send_timeout_s):
            SETTING.seconds("a time limit", timeout)
        self._reactor: IReactor = reactor if reactor is not None else _process_reactor()
        SETTING.methods("reactor", self._reactor, ("seconds", "callLater"), _EXAMPLE)
        SETTING.instance("limits", limits, NetworkLimits, optional=True)
        SETTING.instance("history", history, ClientHistory, optional=True)
        SETTING.instance("cookie", cookie, str, os.PathLike, bytes, Cookies, optional=True)
        SETTING.instance(
            "identity", identity, str, os.PathLike, Identity, Identities, optional=True
        )
        self._timeout_s = timeout_s
        self._send_timeout_s = send_timeout_s
        self.addresses = tuple(addresses)
        """The addresses, ``host:port`` each, in the order in which they are tried."""
        cookies = cookie if isinstance(cookie, Cookies) else Cookies(cookie, network)
        self._identities = identity if isinstance(identity, Identities) else Identities(identity)
        self._channel = Channel(
            self._reactor,
            addresses,
            network,
            limits or NetworkLimits(),
            endpoints,
            cookies,
            self._identities,
        )
        self._keys = KeyCalls(self._channel, history)
        self.membership = MembershipCalls(self._channel, timeout_s)
        """Calls about certificates, if the node is secured."""

    async def __aenter__(self) -> Self:
        """Return the client, which connects when it is first needed."""
        return self

    async def __aexit__(self, *_why: object) -> None:
        """Close the client."""
        await self.close()

    @property
    def address(self) -> str:
        """The address that is connected, or that is dialled next."""
        return self._channel.address

    # -- calls -----------------------------------------------------------------------------------

    @refusing
    def send_message(
        self,
        body: str,
        wait: bool = True,
        *,
        receipt: ReceiptKind = "counted",
        expect: Sequence[str] = (),
    ) -> Deferred[Receipt]:
        """Broadcast ``body``, one phrase without white space, through the node.

        :param wait: wait until every node has recorded it. Otherwise the Deferred fires as soon as
            the node has taken it, with an empty receipt.
        :param receipt: what the receipt says of the nodes that have recorded it: how many they are
            (``"counted"``), their names (``"named"``), or their names and signatures
            (``"signed"``), which takes a network whose nodes have certificates. With an identity
            the client checks the signatures itself.
        :param expect: names of nodes without which the receipt is partial. They have to be named,
            so ``"counted"`` becomes ``"named"``.

        Fails with :class:`LocalProtocolError` if the nodes have no certificates to sign with.
        Fails with :class:`InvalidMessage`, :class:`NotInRing` or :class:`BroadcastFailed`. If the
        connection is lost before the receipt comes (:class:`ConnectFailed`), or the time limit
        passes (:class:`TimedOut`), the message may have been sent nevertheless.
        """
        check_phrase(body)
        CALL.flag("wait", wait)
        CALL.receipt(receipt, expect)
        timeout_s = self._send_timeout_s if wait else self._timeout_s
        answer = self._channel.ask(SEND, (body, wait, receipt, list(expect)), timeout_s)

        def finished(found: Receipt | None) -> Receipt:
            told, credentials = found or _taken(body), self._identities.current()
            if not wait or receipt != "signed" or credentials is None:
                return told
            return checked(told, body, expect, credentials.current().bundle, time.time())

        return answer.addCallback(finished)

    @refusing
    def get_messages(self, limit: int = 0, since: str = "") -> Deferred[list[MessageRecord]]:
        """Return recorded messages in the order received, however many replies that takes.

        The order differs from node to node: what comes after a message at one node is not what
        comes after it at another.

        :param limit: the most messages: the newest, or with ``since`` the first after it; 0 for
            all.
        :param since: only those after this message id.

        Fails with :class:`LocalProtocolError` if the node does not keep the message ``since``.
        """
        CALL.span(limit, since)
        return Deferred.fromCoroutine(self._pages().messages(limit, since))

    @refusing
    def get_ordered(self, limit: int = 0, since: str = "") -> Deferred[list[OrderedEntry]]:
        """Return messages and gaps in per-origin order, as ``follow(…, order="origin")`` would.

        Messages that are held back for a missing one at this moment are not among them.

        :param limit: the most messages: the newest, or with ``since`` the first after it; 0 for
            all.
        :param since: only what comes after this message id.

        Fails with :class:`LocalProtocolError` if the node does not keep the message ``since``.
        """
        CALL.span(limit, since)
        return Listing(self, limit, since, self._reactor, self._timeout_s).finished

    def follow(
        self,
        callback: Callable[[Any], object],
        since: str = "",
        order: Order = "received",
        caught_up: Callable[[], object] = lambda: None,
    ) -> Following:
        """Have ``callback`` called with every message after ``since`` and all that come.

        Returns a handle, whose ``finished`` Deferred fires at the end.

        :param since: a message id; "" for the oldest message that the node keeps.
        :param order: ``"received"``: called with a :class:`MessageRecord` each. ``"origin"``: the
            messages of one origin in ascending sequence, called with an :class:`OrderedEntry` each,
            a message or a gap.
        :param caught_up: called whenever the node has nothing more at the moment.

        Both must be plain functions: messages would keep coming while a coroutine waits.
        """
        rid = self._channel.number()
        following = Following(self._channel, rid, callback, caught_up, order)
        try:
            for function in (callback, caught_up):
                CALL.plain_function("a follower's callback", function)
            CALL.text("since", since)
            CALL.one_of("order", order, get_args(Order))
            self._channel.follow(following, Follow(rid, since, order))
        except (Busy, LocalProtocolError) as error:
            following.ended(error)
        return following

    @refusing
    def status(self) -> Deferred[NodeStatus]:
        """Return the node's view of itself and its neighbours."""
        return self._channel.ask(STATUS, (), self._timeout_s)

    @refusing
    def members(self) -> Deferred[list[NodeInfo]]:
        """Find out who is in the node's ring, by a walk from successor to successor.

        Fires with the members in the order of the ring, the node itself first. Fails with
        :class:`LookupFailed` if the walk did not come round, because the ring was changing or has
        more than 1,024 members, and with :class:`NotInRing`.
        """
        return self._channel.ask(MEMBERS, (), self._timeout_s)

    @refusing
    def lookup(self, key: str, iterative: bool = False) -> Deferred[LookupResult]:
        """Find the owner of ``key`` and the path to it.

        :param iterative: the node asks one node after the other; otherwise each passes it on.

        Fails with :class:`NotInRing` or :class:`LookupFailed`.
        """
        check_key(key)
        CALL.flag("iterative", iterative)
        return self._channel.ask(LOOKUP, (key, iterative), self._timeout_s)

    def watch(
        self,
        key: str,
        callback: Callable[[Revision], object] | None = None,
        *,
        since: int | None = None,
    ) -> KeyWatch:
        """Be told of the states that a key has, in the order of its versions, each once.

        Each is confirmed, as what :meth:`get` returns. What was overwritten before the node has
        read it is a gap in the revision that comes next; the newest always comes in the end. That a
        key was deleted, or has expired, is a revision as well, with a value of None.

        :param callback: called with every :class:`Revision`; without one the handle that is
            returned is an asynchronous iterator. A coroutine is waited for before the next call.
        :param since: begin after this version: to go on after a break. None: the first revision
            says what there is.

        The handle's ``finished`` fails with :class:`ConnectFailed` when the connection is lost,
        with :class:`WatchEnded` when the node or the client ends the watch, with :class:`NoStore`,
        :class:`NotInRing`, :class:`Busy` or :class:`InvalidKey`, and with what the callback raises.
        """
        return self._keys.watch(key, callback, since)

    def _ask_key(self, asked: KeyRequest) -> Deferred[Any]:
        return self._keys.get(asked) if isinstance(asked, GetKey) else self._keys.write(asked)

    @refusing
    def held_keys(
        self, limit: int = 0, after: str = "", *, owned: bool = False
    ) -> Deferred[list[HeldKey]]:
        """Return the keys that the node holds and that have a value, as it has them.

        They come by slot, and in each slot in the order of their bytes. What the node has may be
        old, or not confirmed: it is what its own disk holds.

        :param limit: the most keys; 0 for all, however many replies that takes.
        :param after: only those after this key, for the next part of a long list.
        :param owned: only those of slots that the node looks after, as the first live one: over all
            nodes each key is then told once, while the ring does not change.

        Fails with :class:`NoStore` if the node keeps no store.
        """
        CALL.span(limit, after)
        CALL.flag("owned", owned)
        return Deferred.fromCoroutine(self._pages().held_keys(limit, after, owned=owned))

    def store_state(self) -> Deferred[StoreState]:
        """Return what the node knows of the store: its slots, who holds them, its own part."""
        return Deferred.fromCoroutine(self._pages().store_state())

    @refusing
    def vacate(self) -> Deferred[None]:
        """Make the node give up its slots to others, so that it can be taken away.

        Fires at once; :meth:`store_state` says how many slots still need the node (``seats``). It
        takes no slots again until it is started anew. Fails with :class:`NoStore` if it keeps no
        store.
        """
        return self._channel.ask(VACATE, (), self._timeout_s)

    @refusing
    def can_stop(self) -> Deferred[StoreStanding]:
        """Find out if the node can be stopped while all keys that it holds stay usable.

        That is so if of each slot that it holds a majority answers without it.
        """
        return self._channel.ask(CAN_STOP, (), self._timeout_s)

    @refusing
    def inspect(self, key: str) -> Deferred[KeyMembers]:
        """Find out what each of the nodes that hold a key has of it at this moment.

        That is no read of the key, and not in step with writes that are under way. Fails with
        :class:`NoStore` or :class:`InvalidKey`.
        """
        check_store_key(key)
        return self._channel.ask(INSPECT, (key,), self._timeout_s)

    @refusing
    def recover(
        self, slots: Sequence[int], *, accept_loss: bool = False, timeout_s: float = RECOVERY_S
    ) -> Deferred[list[SlotRecovery]]:
        """Recover slots that lost their majority for good, out of what is left of them.

        Fires with what came of each. Without ``accept_loss`` nothing is done, and they say what
        would be lost. Fails with :class:`LocalProtocolError` for a slot that does not exist, and
        with :class:`NoStore` if the node belongs to no store.

        :param slots: at most 64 of them.
        :param timeout_s: how long it may take.
        """
        CALL.flag("accept_loss", accept_loss)
        CALL.seconds("timeout_s", timeout_s)
        given = (list(slots), accept_loss, timeout_s)
        return self._channel.ask(RECOVER, given, timeout_s + self._timeout_s)

    @refusing
    def begin_store(self, founders: Sequence[str]) -> Deferred[None]:
        """Have the node begin a store together with others, each of which is to be told the same.

        Fires at once; :meth:`store_state` says when the store has begun. Fails with
        :class:`LocalProtocolError` if the node belongs to a store already, or cannot begin one.

        :param founders: the names of all founders, the node's own included.
        """
        return self._channel.ask(BEGIN_STORE, (list(founders),), self._timeout_s)

    @refusing
    def set_store_aside(self, formation: str) -> Deferred[str]:
        """Have the node set its store aside and go on with an empty one.

        Fires with where the old one is kept. The node never joins that store again, and joins the
        next one that it meets. Fails with :class:`LocalProtocolError` if it belongs to another one.

        :param formation: the store that is meant: at least the first four digits of its id.
        """
        CALL.text("formation", formation)
        return self._channel.ask(ASIDE, (formation,), self._timeout_s)

    @refusing
    def trace(self, message_id: str) -> Deferred[MessageTrace]:
        """Return what the node knows of the way of a message: its record, and what went wrong.

        Fails with :class:`LocalProtocolError` if ``message_id`` is not a message id.
        """
        CALL.text("message_id", message_id)
        return self._channel.ask(TRACE, (message_id,), self._timeout_s)

    def history(self) -> Deferred[NodeHistory]:
        """Return which messages the node has recorded and keeps, as numbers of each origin."""
        return Deferred.fromCoroutine(self._pages().history())

    @refusing
    def trails(self, limit: int = 0, since: str = "") -> Deferred[list[MessageTrail]]:
        """Return recorded messages as :meth:`get_messages` does, without their bodies."""
        CALL.span(limit, since)
        return Deferred.fromCoroutine(self._pages().trails(limit, since))

    @refusing
    def begin(self) -> Deferred[None]:
        """Make a node that cannot find its peers create a ring, alone at first."""
        return self._channel.ask(BEGIN, (), self._timeout_s)

    @refusing
    def leave(self) -> Deferred[None]:
        """Make the node leave the ring in order and stop; fires when it has left."""
        return self._channel.ask(LEAVE, (), self._timeout_s)

    def close(self) -> Deferred[None]:
        """End the connection, every following and every call in flight; fires when it is closed.

        A later call connects again.
        """
        return self._channel.close()

    def _pages(self) -> Pages:
        return Pages(self._channel, self._timeout_s)


def _taken(body: str) -> Receipt:
    """Return an empty receipt, for a message that the node has accepted."""
    return Receipt("", body, 0, 0, 0, 0, 0.0, False, [])


def _process_reactor() -> Any:  # for a script, which has none to pass on
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


def _split(words: Sequence[Any], reactor: Any) -> tuple[list[str], Any]:
    """Return the addresses and the reactor, which may come last among them."""
    *addresses, last = words
    if addresses and reactor is None and not isinstance(last, str):
        reactor = last
    else:
        addresses = [*addresses, last]
    for address in addresses:
        SETTING.text("an address", address)
    if len(addresses) > MAX_ADDRESSES:
        raise ConfigError(f"{len(addresses)} addresses, a client takes at most {MAX_ADDRESSES}")
    return [format_address(*parse_address(address)) for address in addresses], reactor


p2pnetClient = P2PNetClient  # noqa: N816 - the name in older programs
