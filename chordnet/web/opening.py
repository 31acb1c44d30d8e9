"""What runs beside a node on a port of its own: the pages for programs that speak HTTP."""

from __future__ import annotations

from collections.abc import Callable

from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.journal import Journal
from chordnet.net.runtime.lifetime import Beside
from chordnet.net.runtime.node import LocalNode
from chordnet.net.store.state import whole_state


def web_port(
    address: tuple[str, int] | None, reactor: IReactor, journal: Journal, *, given_peers: bool
) -> Beside | None:
    """Return what opens the port for HTTP; None if there is to be none.

    :param address: the address and port to listen on.
    :param given_peers: whether the node is told others to join through.
    """
    if address is None:
        return None

    def opened(node: LocalNode) -> Callable[[], None]:
        # It takes some megabytes, and most nodes have no such port.
        from chordnet.web.site import WebPort  # noqa: PLC0415

        web = WebPort(address, node, lambda: whole_state(node.keys.store), given_peers=given_peers)
        where = web.open(reactor)
        journal.info("serving http://{address}/metrics and /ready", address=where)
        return web.close

    return opened
