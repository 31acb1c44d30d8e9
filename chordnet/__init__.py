"""chordnet: a peer-to-peer network with no centre.

What a program needs is importable from here and loaded on first use::

    from chordnet import ChordService, P2PNetClient
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chordnet.client import P2PNetClient, p2pnetClient
    from chordnet.core.base.config import ProtocolConfig
    from chordnet.net.base.limits import NetworkLimits
    from chordnet.server import P2PNetServer, p2pnetServer
    from chordnet.service import ChordService, Seams
    from chordnet.settings import NodeSettings

__version__ = "0.1.0"

_HOMES = {
    "ChordService": "chordnet.service",
    "NetworkLimits": "chordnet.net.base.limits",
    "NodeSettings": "chordnet.settings",
    "P2PNetClient": "chordnet.client",
    "P2PNetServer": "chordnet.server",
    "ProtocolConfig": "chordnet.core.base.config",
    "Seams": "chordnet.service",
    "p2pnetClient": "chordnet.client",
    "p2pnetServer": "chordnet.server",
}

__all__ = [
    "ChordService", "NetworkLimits", "NodeSettings", "P2PNetClient", "P2PNetServer",
    "ProtocolConfig", "Seams", "p2pnetClient", "p2pnetServer",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
