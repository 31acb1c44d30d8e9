"""A client of a network, for programs that are not nodes themselves."""

from chordnet.client.client import P2PNetClient, p2pnetClient
from chordnet.client.following import Following
from chordnet.client.recording import ClientHistory

__all__ = ["ClientHistory", "Following", "P2PNetClient", "p2pnetClient"]
