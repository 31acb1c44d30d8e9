"""The pages that a node serves by HTTP, and the port that it serves them on.

========== ===========================================================================
page       what it tells
========== ===========================================================================
/live      200 as long as the process answers
/ready     200 if the node is ready (:mod:`chordnet.web.readiness`), 503 with the
           reasons if it is not
/metrics   the metrics, as Prometheus reads them (:mod:`chordnet.web.exporter`)
/status    what the node says of itself and of its store, as JSON
========== ===========================================================================

They only tell, and nobody has to say who they are to read them. So the port is one of this machine
unless the configuration names another address, and there it does not serve ``/status``, which
names all peers. A browser on this machine can be brought to ask 127.0.0.1 in the name of a foreign
page; ``/status`` answers only requests that name this machine in ``Host``.

Connections are few, short-lived and limited, and so is what a request may hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from chordnet.core.base.naming import format_address
from chordnet.net.base.interfaces import IReactor
from chordnet.web.exporter import Exporter, Look
from chordnet.web.readiness import readiness
from chordnet.wire.rpc import NodeStatus
from chordnet.wire.stores import StoreState

MOST_CONNECTIONS = 64
"""At the same time; more are closed at once."""
IDLE_S = 15.0
"""After so long without a request a connection is closed."""
TEXT = "text/plain; charset=utf-8"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Node(Protocol):
    """What is needed of a node (:class:`chordnet.net.runtime.node.LocalNode`)."""

    def status(self) -> NodeStatus: ...


class WebPort:
    """The port of one node for HTTP.

    :param address: the host and the port to listen on; port 0 for any free one.
    :param store_state: returns what the node says of its store.
    :param given_peers: whether the node was told others to join through.
    """

    def __init__(
        self,
        address: tuple[str, int],
        node: Node,
        store_state: Callable[[], StoreState],
        *,
        given_peers: bool,
    ) -> None:
        self._host, self._port = address
        self._node, self._store_state = node, store_state
        self._given_peers = given_peers
        self._listening: IListeningPort | None = None
        self._connections: _Limited | None = None

    def look(self) -> Look:
        """Return what the node says of itself now."""
        status, store = self._node.status(), self._store_state()
        return Look(status, store, readiness(status, store, given_peers=self._given_peers))

    def open(self, reactor: IReactor) -> str:
        """Listen, and return the address.

        :raises CannotListenError: it cannot listen there.
        """
        site = _Quiet(_root(self.look, everything=self._host in _LOOPBACK), _Request)
        # Not the reactor of the process: the one that the node was given.
        site.reactor, site.timeOut = reactor, IDLE_S
        self._connections = connections = _Limited(site)
        listening = reactor.listenTCP(
            self._port,
            connections,  # type: ignore[arg-type] # it wraps protocols of any kind
            interface=self._host,
        )
        self._listening = listening
        return format_address(self._host, getattr(listening.getHost(), "port", self._port))

    def close(self) -> None:
        """Listen no more, and cut the connections."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.stopListening()
        if self._connections is not None:
            self._connections.cut()


class _Limited(WrappingFactory):
    """Lets in as many connections as there may be, and knows them."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]
        return super().buildProtocol(addr) if len(self.protocols) < MOST_CONNECTIONS else None

    def cut(self) -> None:
        for connection in list(self.protocols):
            connection.transport.abortConnection()


class _Quiet(Site):
    """A site that writes no log of what is asked."""

    noisy = False
    displayTracebacks = False

    def startFactory(self) -> None:
        """Do nothing: no log has to be opened, and no clock for it has to run."""

    def stopFactory(self) -> None:
        """Do nothing, for nothing was begun."""

    def log(self, _request: object) -> None:
        """Write nothing."""


class _Request(Request):
    """A request without a body: a long one would be kept in a file."""

    def gotLength(self, length: int | None) -> None:
        super().gotLength(0)
        if length != 0:
            self.channel.loseConnection()


Answer = tuple[int, str, bytes]
"""The status of an answer, its content type and its content."""


class _Pages(Resource):
    """All pages, by their paths.

    :param pages: for each what returns its answer to a request.
    """

    isLeaf = True

    def __init__(self, pages: Mapping[bytes, Callable[[Request], Answer]]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> bytes:
        """Return the content; Twisted leaves it out for HEAD."""
        page = self._pages.get(request.path)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            status, content_type, content = 405, TEXT, b"pages can only be read, with GET\n"
        elif page is None:
            status, content_type, content = 404, TEXT, b"there is no such page; / lists them\n"
        else:
            status, content_type, content = page(request)
        request.setResponseCode(status)
        request.setHeader(b"content-type", content_type.encode())
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        return content


def _root(look: Callable[[], Look], *, everything: bool) -> Resource:
    """Return the pages.

    :param everything: serve ``/status`` as well.
    """
    exporter = Exporter(look)

    def ready(_request: Request) -> Answer:
        found = look().readiness
        lines = [*(f"not ready: {each}" for each in found.reasons)] or ["ready"]
        text = "\n".join([*lines, *(f"note: {each}" for each in found.notes), ""])
        return (200 if found.ready else 503), TEXT, text.encode()

    def metrics(request: Request) -> Answer:
        page, content_type = exporter.page(request.getHeader("accept") or "")
        return 200, content_type, page

    def status(request: Request) -> Answer:
        if not everything:
            return 403, TEXT, b"/status is served on this machine's own addresses alone\n"
        if request.getRequestHostname().decode("ascii", "replace").strip("[]") not in _LOOPBACK:
            return 403, TEXT, b"ask for /status by the name localhost\n"
        return 200, "application/json", _status(look())

    pages = {"live": lambda _request: (200, TEXT, b"live\n"), "ready": ready, "metrics": metrics}
    listed = "".join(f"/{name}\n" for name in (*pages, *(["status"] if everything else [])))
    found = {f"/{name}".encode(): make for name, make in {**pages, "status": status}.items()}
    return _Pages({**found, b"/": lambda _request: (200, TEXT, listed.encode())})


def _status(look: Look) -> bytes:
    readiness = look.readiness
    document = {
        "ready": readiness.ready,
        "reasons": readiness.reasons,
        "notes": readiness.notes,
        "node": _document(look.status),
        "store": _document(look.store),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _document(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _document(getattr(value, name)) for name in value.__struct_fields__}
    return [_document(each) for each in value] if isinstance(value, list) else value
