"""A client of a network, for programs that are not nodes themselves."""

from chordnet.client.client import P2PNetClient, p2pnetClient
from chordnet.client.following import Following

__all__ = ["Following", "P2PNetClient", "p2pnetClient"]
