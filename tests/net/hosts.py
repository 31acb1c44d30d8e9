"""Hosts for the tests of connections: each a door and a transport, in a network in memory."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, formatEvent

from chordnet.core.base.events import Event, LinkFault, Received
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.net.base.addresses import Endpoints
from chordnet.net.base.interfaces import Judge
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.base.turn import Turn
from chordnet.net.links.greeters import Door
from chordnet.net.links.protocol import Connection
from chordnet.net.links.transport import PeerTransport
from chordnet.net.tls.credentials import Credentials
from chordnet.testing import MemoryNetwork
from chordnet.trust.base.subjects import Subject
from chordnet.wire.codec import frame_limit
from chordnet.wire.greeting import Refuse

SPACE = IdentifierSpace(160)
FRAME_LIMIT = frame_limit(65536)


def node_ref(name: str, address: str, incarnation: int = 1) -> NodeRef:
    return NodeRef(SPACE.raw(SPACE.hash(name.encode())), incarnation, address, name)


def quiet_journal(clock: Clock, source: str = "test") -> tuple[Journal, list[str]]:
    """Return a journal and the lines that it writes."""
    lines: list[str] = []
    publisher = LogPublisher(lambda event: lines.append(formatEvent(event)))
    logger = Logger(namespace="chordnet.node", observer=publisher)
    return Journal(clock.seconds, source, logger=logger), lines


class Keeper:
    """A participant in turns that notes what it is called for.

    :param order: notes go there, each with ``name`` before it.
    :param doing: what else is done when a method, by its name, is called.
    """

    def __init__(
        self, order: list[str], name: str = "", *, keeps: bool = True,
        doing: dict[str, Callable[[], object]] | None = None,
    ) -> None:  # fmt: skip
        self.order = order
        self.name = name
        self.keeps = keeps
        self.doing = doing or {}

    def commit(self) -> bool:
        self._called("commit")
        return self.keeps

    def abandon(self) -> None:
        self._called("abandon")

    def committed(self) -> None:
        self._called("committed")

    def _called(self, method: str) -> None:
        self.order.append(f"{self.name} {method}".strip())
        if method in self.doing:
            self.doing[method]()


class NoClients:
    """Refuses every client."""

    def refuse(self, *, operates: bool = False, subject: Subject | None = None) -> Refuse | None:
        return Refuse("full", "no clients here")

    def attach(self, connection: Connection) -> Any:
        raise AssertionError("not reached")

    def look_again(self) -> None:
        pass


def shared_by(turn: Turn, journal: Journal, clock: Clock, **changes: Any) -> Shared:
    """What a node's parts share, where a test cares for no more than this."""
    return Shared(**{
        "reactor": clock, "turn": turn, "me": node_ref("me", "10.0.0.1:7001"), "space": SPACE,
        "network": "default", "journal": journal, "limits": NetworkLimits(),
        "frame_limit": FRAME_LIMIT, "rng": random.Random(1), "seconds": clock.seconds,
        "wall": clock.seconds, **changes,
    })  # fmt: skip


class Host:
    """One node's connections."""

    def __init__(
        self, network: MemoryNetwork, name: str, address: str, *, incarnation: int = 1,
        limits: NetworkLimits | None = None, network_name: str = "default", listen: bool = True,
        endpoints: Endpoints | None = None,
        names: Judge | None = None, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        clock = network.clock
        self.me = node_ref(name, address, incarnation)
        self.journal, self.lines = quiet_journal(clock, name)
        self.received: list[tuple[str, PeerMessage]] = []
        self.posted: list[Event] = []
        self.downs: list[tuple[str, LinkFault]] = []
        limits = limits or NetworkLimits()
        self.turn = Turn(clock, lambda what: self.journal.failure(NetMetric.TURN_ERRORS, what))
        shared = Shared(
            reactor=clock, turn=self.turn, me=self.me, network=network_name, space=SPACE,
            journal=self.journal, limits=limits, frame_limit=FRAME_LIMIT,
            rng=random.Random(name), seconds=clock.seconds, wall=clock.seconds,
            endpoints=endpoints or network.dialling_from(address), credentials=credentials,
        )  # fmt: skip
        self.transport = PeerTransport(
            shared,
            on_down=lambda peer, fault, _text="", _holder="": self.downs.append(
                (peer.name or peer.address, fault)
            ),
            names=names, post=self._post,
        )  # fmt: skip
        self.door = Door(shared, self.transport, NoClients())
        if listen:
            network.bind(address, self.door)

    def _post(self, event: Event) -> None:
        if isinstance(event, Received):
            self.received.append((event.sender.name, event.message))
        else:
            self.posted.append(event)

    def send(self, to: Host | NodeRef, *messages: PeerMessage) -> None:
        """Send messages in one turn."""
        ref = to.me if isinstance(to, Host) else to
        with self.turn:
            for message in messages:
                self.transport.send(ref, message)

    def got(self) -> list[PeerMessage]:
        """Return the messages received so far."""
        return [message for _sender, message in self.received]

    def logged(self, text: str) -> bool:
        """Tell whether a line with ``text`` was logged."""
        return any(text in line for line in self.lines)

    def stop(self) -> None:
        self.door.close()
        self.transport.stop()
        self.turn.stop()


def dump(lines: list[str]) -> str:
    """Return lines as one text, for messages of failed assertions."""
    return io.StringIO("\n".join(lines)).getvalue()
