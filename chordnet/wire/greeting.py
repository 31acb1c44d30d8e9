"""The greeting that opens a connection and the farewell that ends it.

The side that dials sends :class:`Hello`. The other side answers with :class:`Welcome`, or with
:class:`Refuse` and closes. Nothing else may be the first frame in either direction, but that over
TLS the side that dials sends :class:`Refuse` and closes if it does not believe the other one's
certificate.

Versions: one whole number names the protocol. A reader ignores elements at the end of an array
that it does not know, so a field may be added to the end of any message (with a default) without
a new number; anything else (a new message, a changed meaning) takes the next number. A program
states the newest and the oldest version that it speaks, and the two sides speak the newest one
that both know.

A connection is ended in order by :class:`Bye`: its sender sends nothing more on this connection,
the other side answers with its own and closes. A connection that ends without it is broken.
"""

from __future__ import annotations

import msgspec

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, RingLabel
from chordnet.core.base.naming import usable_address, usable_name
from chordnet.wire.trust.cookies import Shown

MAGIC = "chordnet"
VERSION = 2
OLDEST_VERSION = 2

PEER = "peer"
CLIENT = "client"
WHO = "who"
"""Asks which node listens, and disconnects."""

GREETING_LIMIT = 2048
"""Bytes of the longest greeting frame."""

CODES = frozenset(
    {
        "greeting",
        "version",
        "network",
        "bits",
        "self",
        "name",
        "incarnation",
        "identity",
        "full",
        "secured",
        "plain",
        "certificate",
    }
)
"""Why a greeting may be refused; other codes may come from later versions."""


class _Greeting(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


class Hello(_Greeting, frozen=True, tag=60):
    """The first frame from the side that dials."""

    magic: str
    """Always ``chordnet``."""
    version: int
    """The newest protocol version that the dialler speaks."""
    network: str
    """The network's name; a client may leave it empty and talk to any."""
    bits: int
    """Width of identifiers; a client may send 0 and talk to any."""
    role: str
    """``peer``, ``client`` or ``who``."""
    node: NodeRef | None = None
    """The node that dials, if it is a peer."""
    oldest: int = 0
    """The oldest protocol version that the dialler speaks; 0 means ``version`` alone."""
    shown: Shown | None = None
    """What a client shows of its cookies, to operate the node."""


class Welcome(_Greeting, frozen=True, tag=61):
    """The greeting is accepted."""

    version: int
    """The protocol version that both sides speak from here on."""
    node: NodeRef
    """The node that was dialled."""
    network: str = ""
    bits: int = 0
    status: int = 0
    """In answer to ``who``: that node's :class:`Status`."""
    label: RingLabel | None = None
    """In answer to ``who``: the ring's label."""
    before: RingLabel | None = None
    """In answer to ``who``: the label that its ring gave up for this one."""


class Refuse(_Greeting, frozen=True, tag=62):
    """The greeting is refused; the connection is closed after this frame."""

    code: str
    """One of :data:`CODES`."""
    text: str
    """The reason, for people to read."""
    holder: str = ""
    """With code ``name``: the address of the node that has the name."""
    trust: str = ""
    """With code ``secured``: the identifier of the network whose members are let in."""


class Bye(_Greeting, frozen=True, tag=63):
    """The last frame that its sender sends on this connection."""

    code: str
    """``idle``, ``duplicate``, ``leaving``, ``slow`` or ``protocol``."""
    text: str = ""


def agreed_version(hello: Hello) -> int | None:
    """Return the newest version that both sides speak; None if there is none."""
    version = min(hello.version, VERSION)
    oldest = max(hello.oldest or hello.version, OLDEST_VERSION)
    return version if version >= oldest else None


def judge(hello: Hello, me: NodeRef, network: str, space: IdentifierSpace) -> Refuse | None:
    """Return why ``me`` refuses ``hello``; None if it is acceptable by itself.

    Other connections are not taken into account here.
    """
    if hello.magic != MAGIC:
        return Refuse("greeting", "this is a chordnet node; the greeting is not chordnet's")
    if agreed_version(hello) is None:
        spoken = str(VERSION) if VERSION == OLDEST_VERSION else f"{OLDEST_VERSION} to {VERSION}"
        return Refuse("version", f"protocol version {spoken} is spoken here, not {hello.version}")
    if hello.role not in (PEER, CLIENT, WHO):
        return Refuse("greeting", "the role must be peer or client")
    client = hello.role == CLIENT
    if hello.network != network and not (client and not hello.network):
        return Refuse("network", f"this is network {network!r}, not {hello.network[:80]!r}")
    if hello.bits != space.bits and not (client and not hello.bits):
        return Refuse("bits", f"identifiers have {space.bits} bits here, not {hello.bits}")
    return judge_node(hello.node, me, space) if hello.role == PEER else None


def judge_node(node: NodeRef | None, me: NodeRef, space: IdentifierSpace) -> Refuse | None:
    """Return what is wrong with the identity that a peer states; None if it is acceptable."""
    if node is None or not space.valid_raw(node.raw):
        return Refuse("identity", f"a peer must state an identifier of {space.bits} bits")
    if not usable_name(node.name):
        return Refuse("identity", "a peer must state a name of 1 to 255 printable letters")
    if not usable_address(node.address):
        return Refuse("identity", "a peer must state an address HOST:PORT that can be dialled")
    if space.hash(node.name.encode()) != node.id:
        return Refuse("identity", f"the identifier of {node.name[:80]!r} is not the name's hash")
    if node.raw != me.raw:
        return None
    if node.incarnation == me.incarnation:
        return Refuse("self", f"{me.name!r} was dialled by itself")
    return Refuse(
        "name",
        f"this node at {me.address} is called {me.name!r} too; give every node its own name",
        me.address,
    )
