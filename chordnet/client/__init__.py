"""A client of a network: what a program that is no node asks of nodes."""

from chordnet.client.client import P2PNetClient, p2pnetClient
from chordnet.client.following import Following

__all__ = ["Following", "P2PNetClient", "p2pnetClient"]
