"""``P2PNetServer``: the node that clients talk to.

Every :class:`chordnet.ChordService` answers clients on its own port
(``chordnet/net/serve/clients.py``). This is the same service, under the name that goes with
``P2PNetClient``.
"""

from __future__ import annotations

from chordnet.service import ChordService


class P2PNetServer(ChordService):
    """A node of the network, serving clients and peers on one port; see :class:`ChordService`."""


p2pnetServer = P2PNetServer  # noqa: N816 - the name in older programs
