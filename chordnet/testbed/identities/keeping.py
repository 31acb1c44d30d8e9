"""The authority of a network and the identities that it has issued, in the network's home."""

from __future__ import annotations

from collections.abc import Collection

from chordnet.testbed.base.home import NetworkHome


class NetworkIdentities:
    """What vouches for the members of one network."""

    def __init__(self, home: NetworkHome) -> None:
        self._home = home

    def provide(self, numbers: Collection[int]) -> None:
        """Make what those nodes and the operator need and lack, or what has become old."""
