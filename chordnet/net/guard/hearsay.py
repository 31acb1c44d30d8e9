"""How many of the addresses that it knows only from its peers a node may dial.

A peer can name any address, and could use a node to attack other hosts. Addresses from the
configuration and from the disk, and those of nodes that have greeted, are not limited. For the
others there is an :class:`Allowance` on one peer's word, and one for all peers together.
"""

from __future__ import annotations

from collections import OrderedDict

from chordnet.core.base.messages import NodeRef
from chordnet.net.base.allowance import Allowance
from chordnet.net.base.limits import NetworkLimits

_MOST_TELLERS = 1024


class Hearsay:
    """What one node may dial on the word of its peers.

    :param now: seconds on a clock that never goes back.
    """

    def __init__(self, limits: NetworkLimits, now: float) -> None:
        self._limits = limits
        self._met: OrderedDict[str, None] = OrderedDict()
        self._tellers: OrderedDict[bytes, Allowance] = OrderedDict()
        self._all = Allowance(limits.told_dials, limits.told_dials_per_s, now)

    def met(self, *addresses: str) -> None:
        """Note that these addresses are known from another source than a peer."""
        for address in addresses:
            self._met[address] = None
            self._met.move_to_end(address)
        while len(self._met) > self._limits.max_links:
            self._met.popitem(last=False)

    def knows(self, node: NodeRef) -> bool:
        """Return True if the address of ``node`` is known from another source than a peer."""
        return node.is_contact or node.address in self._met

    def may_dial(self, node: NodeRef, teller: bytes, now: float) -> bool:
        """Return True if ``node`` may be dialled now, and count it.

        :param teller: the peer that caused it; empty if none did.
        """
        if self.knows(node):
            return True
        if teller:
            allowance = self._tellers.get(teller)
            if allowance is None:
                share = self._limits.told_dials / 4, self._limits.told_dials_per_s / 4
                allowance = self._tellers[teller] = Allowance(*share, now)
                if len(self._tellers) > _MOST_TELLERS:
                    self._tellers.popitem(last=False)
            if not allowance.take(now):
                return False
        return self._all.take(now)
