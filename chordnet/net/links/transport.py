"""Messages to peers over TCP: one connection for each pair of nodes, whichever dialled.

Rules:

- A link belongs to a node's identifier. A node that greets as another life of a known node, or at
  another address, waits until the core has judged it. If it has the name, it takes over the link,
  and the other one's connection is cut.
- A contact is an address whose node is not known. It has a link of its own until a node at that
  address has greeted; from then on it is an alias of that node's link.
- When two nodes dial each other simultaneously, both connections come up. Both sides then write to
  the one that the smaller identifier dialled and say goodbye on the other. What was written before
  is still read, so nothing is lost. When the older connection has been up for longer than such a
  coincidence can take, the peer must have lost it: the newer one stays.
- ``on_down`` is called once for each failed dial, and once for the end of a connection unless this
  side ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.core.base.events import Event, LinkFault
from chordnet.core.base.messages import (
    Ack,
    Caught,
    Covered,
    FindFailed,
    Found,
    Given,
    Lost,
    Next,
    NodeRef,
    PeerMessage,
    Pong,
    State,
    StoreMail,
)
from chordnet.core.base.naming import usable_address
from chordnet.net.base.interfaces import Down, Judge
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.guard.hearsay import Hearsay
from chordnet.net.guard.pace import pace_of
from chordnet.net.guard.places import PATIENCE_S
from chordnet.net.links.dialler import Dial, DialSettings
from chordnet.net.links.dials import Dials
from chordnet.net.links.greeters import peer_hello, who_hello
from chordnet.net.links.judging import Judging, WhenJudged
from chordnet.net.links.links import Bundles, Link, PeerSession
from chordnet.net.links.protocol import Connection
from chordnet.net.links.trusting import still_trusted
from chordnet.net.links.verifying import Verifier
from chordnet.wire.codec import LONG_OF_PEERS, encode_frame, goes_in_parts
from chordnet.wire.greeting import CODES, Bye, Refuse, Welcome, judge_node
from chordnet.wire.parts import PartsRoom
from chordnet.wire.trust.bundles import BundleMessage

_REFUSED = {"full": LinkFault.UNREACHABLE, "self": LinkFault.SELF}
"""The faults of refusals that are not rejections."""
ANSWERS = frozenset({Pong, State, Found, FindFailed, Next, Ack, Covered, Lost, Given, Caught})
"""Answers, and work done for the peer: sending one does not mean that this node needs the peer."""
_IDLE_LOOKS = 2
"""A link is closed when this many sweeps in a row have found no message on it."""


class PeerTransport:
    """Implements :class:`chordnet.net.base.interfaces.Transport` and :class:`greeters.Peers`.

    :param post: takes every message of a peer, and what else is an event for the core.
    :param bundles: takes what peers say of roots and revocations; None if nothing is secured.
    :param on_down: called for every failed dial and ended connection; must not call back directly.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        on_down: Down,
        names: Judge | None = None,
        post: Callable[[Event], None] = lambda _event: None,
        bundles: Bundles | None = None,
    ) -> None:
        reactor, turn, me, limits = shared.reactor, shared.turn, shared.me, shared.limits
        network, space = shared.network, shared.space
        self._judging = Judging(names, post, shared.wall, self._rival, limits.max_ungreeted)
        self.judged = self._judging.judged
        self.post = post
        self._bundles = bundles
        self._reactor = reactor
        self._seconds = shared.seconds
        self._turn = turn
        self._me = me
        self._space = space
        self._on_down = on_down
        self._journal = shared.journal
        self._limits = limits
        settings = DialSettings(
            reactor, turn, limits, shared.frame_limit, shared.endpoints, shared.credentials
        )
        make = partial(Dial, settings)
        dial = partial(make, hello=peer_hello(me, network, space.bits))
        self._verifier = Verifier(partial(make, hello=who_hello(network, space.bits)), post)
        self.verify = self._verifier.verify
        self._dials = Dials(
            reactor, turn, limits, shared.rng, dial, self._dial_greeted, self._dial_failed
        )
        self._hearsay = Hearsay(limits, shared.seconds())
        too_fast = "{peer} sends too much; it is read more slowly"
        self._slowed = partial(self._journal.limited, NetMetric.PEERS_SLOWED, too_fast)
        self.teller = b""
        """Identifier of the peer whose messages are being handled; empty outside of that."""
        self._links: dict[bytes, Link] = {}
        self._contacts: dict[str, Link] = {}
        self._aliases: dict[str, bytes] = {}
        self._sessions: set[PeerSession] = set()
        self._looks: dict[bytes, int] = {}
        self._sweep: IDelayedCall | None = None
        self._parts_room = PartsRoom(limits.parts_bytes, shared.seconds)
        self._told_why = False
        """Whether the log says already that the system does not give up broken connections."""
        self._stopped = ""
        """Why peers are refused; empty while they are not."""

    # -- sending -------------------------------------------------------------------------------

    def send(self, to: NodeRef, message: PeerMessage) -> None:
        """Send ``message`` to ``to``: directly if connected, else after a dial."""
        # The usual case, on the way of every message, without a call of another method.
        link = self._links.get(to.raw)
        if link is not None:
            session = link.session
            if session is not None and session.node.incarnation == to.incarnation:
                link.active = True
                if type(message) not in ANSWERS:
                    link.wanted = True
                session.connection.send_frame(encode_frame(message))
                return
        self._send_slowly(to, message)

    def mail(self, to: NodeRef, letter: bytes) -> None:
        """Send a letter to the store of ``to``, unless too much waits for it already."""
        link = self._links.get(to.raw)
        session = link.session if link is not None else None
        size = len(letter)
        crowded = link is not None and link.is_crowded(size, self._limits)
        if crowded and (session is None or not self._has_room(size)):
            self._journal.counters.add(NetMetric.LETTERS_DROPPED)
            return
        if link is None or session is None or session.node.incarnation != to.incarnation:
            self._send_slowly(to, StoreMail(letter))
            return
        link.active = link.wanted = True
        session.connection.send_value(encode_frame(StoreMail(letter)))

    def _has_room(self, size: int) -> bool:
        """Return True if this node may keep so many bytes more for peers that read slowly."""
        waiting = sum(session.connection.waiting for session in self._sessions)
        return waiting + size <= self._limits.parts_bytes

    def _send_slowly(self, to: NodeRef, message: PeerMessage) -> None:
        if self._stopped:
            return
        link = self._link_for(to)
        if link is not None and type(message) not in ANSWERS:
            link.wanted = True
        if link is None:
            self._journal.counters.add(NetMetric.MESSAGES_DROPPED)
        elif link.session is not None:
            link.active = True
            _hand_over(link.session.connection, encode_frame(message))
        elif not link.dialled and not self._may_dial(link):
            if link.empty:  # it was made for this message
                self._links.pop(link.node.raw, None)
            self._on_down(to, LinkFault.UNREACHABLE)
        elif self._enqueue(link, encode_frame(message)):
            self._dials.want(link)

    def trust(self, addresses: Iterable[str]) -> None:
        """Lift the limit on dials for these addresses: a person or the disk named them, no peer."""
        self._hearsay.met(*addresses)

    def _may_dial(self, link: Link) -> bool:
        link.told = not self._hearsay.knows(link.node)
        allowed = self._hearsay.may_dial(link.node, self.teller, self._seconds())
        if not allowed:
            self._journal.limited(
                NetMetric.DIALS_REFUSED,
                "did not dial {address}: peers name too many new addresses",
                address=link.node.address,
            )
        return allowed

    def _link_for(self, to: NodeRef) -> Link | None:
        """Return the link that leads to ``to``; None, after ``on_down``, if there is none."""
        if to.raw == self._me.raw or to.address == self._me.address:
            self._on_down(to, LinkFault.REJECTED)
            return None
        if to.is_contact:
            return self._contact_link(to)
        link = self._links.get(to.raw)
        if link is None:
            if len(self._links) >= self._limits.max_links and not self._forget_empty():
                self._on_down(to, LinkFault.UNREACHABLE)
                return None
            link = self._links[to.raw] = Link(to)
        elif to.incarnation != link.node.incarnation:
            if to.incarnation < link.node.incarnation and not self._judging.is_known(to):
                self._on_down(to, LinkFault.REJECTED)
                return None
            if self.doubts(to):
                self._judging.ask(to)
                return None
            self._supersede(link, to)
        return link

    # -- names ---------------------------------------------------------------------------------

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged before it is let in."""
        return self._judging.doubts(node)

    def judge(self, node: NodeRef, judged: WhenJudged) -> None:
        """Have ``node`` judged; call ``judged`` with why it is refused, or None."""
        self._judging.wait(node, judged)

    def _rival(self, node: NodeRef) -> NodeRef | None:
        """Return the other node that is connected under this name, if there is one."""
        link = self._links.get(node.raw)
        session = link.session if link is not None else None
        return session.node if session is not None and session.node != node else None

    def _contact_link(self, to: NodeRef) -> Link | None:
        link = self._links.get(self._aliases.get(to.address, b""))
        if link is not None and link.session is not None:
            return link
        link = self._contacts.get(to.address)
        if link is None:
            if len(self._contacts) >= self._limits.max_links:
                self._on_down(to, LinkFault.UNREACHABLE)
                return None
            link = self._contacts[to.address] = Link(to)
        return link

    def _enqueue(self, link: Link, frame: bytes) -> bool:
        if link.queued_bytes + len(frame) > link.queue_limit(self._limits):
            self._journal.counters.add(NetMetric.MESSAGES_DROPPED)
            return False
        link.queue.append(frame)
        link.queued_bytes += len(frame)
        return True

    # -- dialling ------------------------------------------------------------------------------

    def _dial_failed(self, link: Link, fault: LinkFault, text: str, refusal: Refuse | None) -> None:
        if refusal is not None:
            fault = _REFUSED.get(refusal.code, fault)
        self._journal.counters.add(NetMetric.DIALS_FAILED)
        address = link.node.address
        if refusal is None and fault is LinkFault.REJECTED:
            self._journal.limited(
                NetMetric.REJECTED,
                "{address} is not accepted by this node: {reason}",
                labels=("certificate",),
                address=address,
                reason=text,
            )
        elif refusal is None or refusal.code == "self":
            self._journal.debug("cannot reach {address}: {reason}", address=address, reason=text)
        else:
            self._journal.limited(
                NetMetric.REJECTED,
                "{address} refused this node: {reason}",
                labels=(refusal.code if refusal.code in CODES else "",),
                address=address,
                reason=text,
            )
        # Before the core is told: it may send again, and that is to wait for the next dial.
        self._drop_queue(link)
        holder = refusal.holder if refusal is not None and usable_address(refusal.holder) else ""
        self._on_down(link.node, fault, text, holder)

    def _drop_queue(self, link: Link) -> None:
        self._journal.counters.add(NetMetric.MESSAGES_DROPPED, by=len(link.take_queue()))

    def _dial_greeted(self, link: Link, connection: Connection, welcome: Welcome) -> PeerSession:
        node, expected = welcome.node, link.node
        refusal = self._wrong_answer(expected, node)
        if refusal is not None:
            problem = refusal.text
            if refusal.code != "self":
                self._journal.limited(
                    NetMetric.REJECTED,
                    "{address} is not the expected node: {reason}",
                    address=expected.address,
                    reason=problem,
                    labels=("identity",),
                )
            if link.session is None:
                self._drop_queue(link)
                self._dials.pause(link)
                fault = _REFUSED.get(refusal.code, LinkFault.REJECTED)
                self._on_down(expected, fault, problem)
            connection.send(Bye("protocol", problem[:200]))
            connection.close()
            # A session without a part in any link: it only reads on to the end of the connection.
            return PeerSession(self, connection, Link(node), node, outgoing=True, since=0.0)
        session = self.attach(connection, node, outgoing=True)
        if expected.is_contact:
            self._join_contact(session.link, expected.address)
        return session

    def _wrong_answer(self, expected: NodeRef, node: NodeRef) -> Refuse | None:
        refusal = judge_node(node, self._me, self._space) or self.refuse(node)
        if refusal is not None:
            return refusal
        if not expected.is_contact and expected.raw != node.raw:
            return Refuse("identity", f"{node.name!r} answers there, not {expected.name!r}")
        if self.doubts(node):
            self._judging.judge_answer(node, expected.address)
            if self.doubts(node):
                return Refuse("full", self._judging.doubt(node))
        elif not expected.is_contact and node.incarnation < expected.incarnation:
            return Refuse("incarnation", "an older incarnation of it answers")
        return None

    # -- connections ---------------------------------------------------------------------------

    def refuse(self, node: NodeRef) -> Refuse | None:
        """Return why a connection with ``node`` is refused; None if it is welcome."""
        if self._stopped:
            return Refuse("full", self._stopped[:500])
        places = self._limits.max_peers
        if len(self._sessions) < places or self._make_room():
            return None
        link = self._links.get(node.raw)
        if link is not None and link.wanted:  # it lost its connection and comes back
            places += self._limits.kept_peers
        if len(self._sessions) < places:
            return None
        return Refuse("full", "this node has as many connections as it accepts")

    def _make_room(self) -> bool:
        """End the oldest connection that this node does not need; return True if there was one.

        A peer that has only called, and was sent nothing but answers, is no neighbour of this node.
        """
        # A new caller first gets the time that this node needs to find out that it wants something.
        latest = self._seconds() - PATIENCE_S
        callers = [
            session
            for session in self._sessions
            if not session.outgoing and not session.link.wanted and session.since <= latest
        ]
        if not callers:
            return False
        session = min(callers, key=lambda each: each.since)
        self._sessions.discard(session)
        self._retire(session)
        return True

    def attach(self, connection: Connection, node: NodeRef, *, outgoing: bool) -> PeerSession:
        """Take over a connection on which ``node`` and this node have greeted each other."""
        link = self._links.get(node.raw)
        if link is None:
            link = self._links[node.raw] = Link(node)
        elif node != link.node:
            self._supersede(link, node)
        self._hearsay.met(node.address)
        session = PeerSession(
            self, connection, link, node, outgoing=outgoing, since=self._seconds()
        )
        self._sessions.add(session)
        thrown_away = partial(self._journal.counters.add, NetMetric.PARTS_DROPPED)
        connection.accept_long(self._parts_room, LONG_OF_PEERS, thrown_away)
        pace = link.pace = link.pace or pace_of(self._limits, self._seconds)
        connection.reading.keep_pace(pace, partial(self._slowed, peer=node.name))
        why = connection.give_up_after(self._limits.unacknowledged_s)
        if why and not self._told_why:
            self._told_why = True
            self._journal.info(
                "broken connections with peers are noticed later than usual: {why}", why=why
            )
        self._schedule_sweep()
        self._adopt(link, session)
        self._join_contact(link, node.address)
        if self._bundles is not None:
            self._bundles.met(connection)
        return session

    def _adopt(self, link: Link, session: PeerSession) -> None:
        old = link.session
        if old is None or self._preferred(session, old):
            self._dials.end_pause(link)
            link.attach(session)
            if old is not None:
                old.say_bye("duplicate", self._limits.close_timeout_s)
        else:
            session.say_bye("duplicate", self._limits.close_timeout_s)
        if old is None:
            self._journal.debug("connected with {peer}", peer=link.node.name)

    def _preferred(self, new: PeerSession, old: PeerSession) -> bool:
        if new.outgoing == old.outgoing:
            return True
        # The peer does not dial what it is connected with, so it must have lost the older one.
        if not new.outgoing and new.since - old.since > self._limits.duplicate_window_s:
            return True
        # Both sides decide alike, without a word: each knows both identifiers and who dialled.
        smaller = self._me.raw < new.node.raw
        return new.outgoing == smaller

    def _join_contact(self, link: Link, address: str) -> None:
        """Make ``address`` an alias of the link; send what waited for either."""
        contact = self._contacts.pop(address, None)
        # Without its alias a contact is only dialled once more, and then has it again.
        if len(self._aliases) >= self._limits.max_links:
            self._aliases.clear()
        self._aliases[address] = link.node.raw
        if contact is not None:
            link.queue += contact.take_queue()
            self._reached(contact)
        self._reached(link)

    def _reached(self, link: Link) -> None:
        """Stop dialling and send what waited: the peer was reached."""
        self._dials.reached(link)
        if link.session is not None:
            for frame in link.take_queue():
                _hand_over(link.session.connection, frame)

    def _supersede(self, link: Link, node: NodeRef) -> None:
        """Give the link to a newer incarnation."""
        old, link.node = link.node, node
        session = link.session
        self._drop_queue(link)  # what was meant for one life means nothing to the next
        if session is not None:
            link.detach()
            self._sessions.discard(session)
            session.connection.abort()
        self._dials.cancel(link)
        self._on_down(old, LinkFault.BROKEN)

    # -- what sessions report ------------------------------------------------------------------

    def on_bye(self, session: PeerSession, bye: Bye) -> None:
        """React to the peer's goodbye: it sends nothing more on this connection."""
        self._detach(session, LinkFault.CLOSED)
        if bye.code in ("protocol", "slow"):
            self._journal.limited(
                NetMetric.PEER_COMPLAINED,
                "{peer} closed the connection: {reason}",
                peer=session.node.name,
                reason=bye.text[:200],
            )
        if not session.said_bye:
            session.connection.send(Bye(bye.code[:20]))
        session.connection.close()

    def on_bundle(self, session: PeerSession, message: BundleMessage) -> None:
        """Take what a peer says of its roots and revocations.

        :raises RemoteProtocolError: it is not believed, or not said on such a connection.
        """
        if self._bundles is None:
            raise RemoteProtocolError("certificates are nothing to a node that is not secured")
        self._bundles.heard(session.connection, message)

    def tell_all(self, message: BundleMessage) -> None:
        """Send a message to every peer that is connected."""
        with self._turn:
            for session in self._sessions:
                if not session.said_bye:
                    session.connection.send(message)

    def session_ended(self, session: PeerSession, problem: str) -> None:
        """Forget a connection that is gone, or whose peer broke a rule (``problem`` says which)."""
        if problem:
            self._journal.limited(
                NetMetric.PEER_VIOLATIONS,
                "closed the connection with {peer}: {reason}",
                peer=session.node.name,
                reason=problem,
            )
        self._sessions.discard(session)
        self._detach(session, LinkFault.BROKEN)

    def session_overloaded(self, session: PeerSession) -> None:
        """React to the cut of a connection whose peer reads too slowly."""
        self._journal.limited(
            NetMetric.PEERS_OVERLOADED,
            "{peer} reads too slowly; the connection was cut",
            peer=session.node.name,
        )
        self._detach(session, LinkFault.OVERLOADED)

    def _detach(self, session: PeerSession, fault: LinkFault) -> None:
        if session.link.session is session:
            session.link.detach()
            if not self._stopped:
                self._on_down(session.node, fault)

    # -- housekeeping --------------------------------------------------------------------------

    @property
    def connected(self) -> int:
        """Connections with peers, those that are being closed included."""
        return len(self._sessions)

    @property
    def dials_made(self) -> int:
        """Dials since the start."""
        return self._dials.made

    def _schedule_sweep(self) -> None:
        if self._sweep is None:
            self._sweep = self._reactor.callLater(
                self._limits.idle_s / _IDLE_LOOKS, self._look_for_idle
            )

    def _look_for_idle(self) -> None:
        self._sweep = None
        with self._turn:
            for raw, link in list(self._links.items()):
                # Messages only set a flag, which is cheaper than to note the time of each.
                looks = 0 if link.active else self._looks.get(raw, 0) + 1
                self._looks[raw], link.active = looks, False
                if looks >= _IDLE_LOOKS and link.session is not None:
                    self._retire(link.session)
            self._forget_empty()
        if self._links or self._contacts:
            self._schedule_sweep()

    def _retire(self, session: PeerSession) -> None:
        """End a connection in order; the next message makes another one."""
        if session.link.session is session:
            session.link.detach()
        session.say_bye("idle", self._limits.close_timeout_s)

    def look_again(self) -> None:
        """End the connections with peers whose certificates are not believed any more."""
        for session in list(self._sessions):
            if still_trusted(session.connection) is not None:
                self._retire(session)

    def _forget_empty(self) -> bool:
        """Forget links that lead nowhere; return True if there were any."""
        gone = [raw for raw, link in self._links.items() if link.empty]
        for raw in gone:
            del self._links[raw]
            self._looks.pop(raw, None)
        for address in [a for a, link in self._contacts.items() if link.empty]:
            del self._contacts[address]
        for address in [a for a, raw in self._aliases.items() if raw not in self._links]:
            del self._aliases[address]
        return bool(gone)

    def stop(self, reason: str = "the node is shutting down") -> None:
        """Say goodbye on every connection, cancel dials and timers, send nothing more.

        :param reason: why peers that still come are refused.
        """
        self._stopped = reason
        self._dials.stop()
        self._verifier.stop()
        with self._turn:
            for session in list(self._sessions):
                session.say_bye("leaving", self._limits.close_timeout_s)
        for link in (*self._links.values(), *self._contacts.values()):
            link.take_queue()
            if link.session is not None:
                link.detach()
            self._dials.cancel(link)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None


def _hand_over(connection: Connection, frame: bytes) -> None:
    if goes_in_parts(frame, LONG_OF_PEERS):
        connection.send_value(frame)
    else:
        connection.send_frame(frame)
