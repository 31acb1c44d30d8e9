"""A client of a network: what a program asks of nodes without being one."""

from chordnet.client.client import P2PNetClient, p2pnetClient
from chordnet.client.following import Following

__all__ = ["Following", "P2PNetClient", "p2pnetClient"]
