"""Ballots: the numbers by which attempts at a register, or at a change, come one after another.

A ballot is (epoch, counter, node, run), compared in this order, and used once:

- *epoch* first, so that whatever is done in a later configuration is above all that was done in an
  earlier one. That is why promises need not be carried from one configuration to the next.
- *counter*: above every ballot that its maker has seen.
- *node* and *run*: two nodes never make the same ballot, nor does a node that has restarted and
  forgotten its counter. A run is told apart from the others of its node by a number of its own.

Sources: Lamport, "Paxos made simple" (2001); CASPaxos (Rystsov, arXiv:1802.07000), whose registers
need no log: a ballot orders the states of one register.
"""

from __future__ import annotations

import msgspec

from chordnet.core.base.limits import Count


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """One attempt's number."""

    epoch: Count
    counter: Count
    node: str
    run: Count


NONE = Ballot(0, 0, "", 0)
"""Below every ballot: nothing was promised, nothing was accepted."""


def below(ballot: Ballot) -> Ballot:
    """Return the highest ballot below one whose run is not 0."""
    return Ballot(ballot.epoch, ballot.counter, ballot.node, ballot.run - 1)


MOST_LIFT = 1 << 16
"""By how much the ballot of another node may lift the counter of this one."""


class Ballots:
    """All ballots that one run of one node makes.

    :param counter: the highest counter that this run has used.
    """

    def __init__(self, node: str, run: int, counter: int = 0) -> None:
        self.node = node
        self._run = run
        self.counter = counter

    def above(self, seen: Ballot, epoch: int) -> Ballot:
        """Return a new ballot of ``epoch`` above ``seen``, which is of that epoch or earlier."""
        self.counter = max(self.counter, seen.counter if seen.epoch == epoch else 0) + 1
        return Ballot(epoch, self.counter, self.node, self._run)

    def lowest(self, epoch: int) -> Ballot:
        """Return the ballot of ``epoch`` that is below all that :meth:`above` ever returns."""
        return Ballot(epoch, 0, self.node, self._run)

    def see(self, seen: Ballot) -> None:
        """Keep up with the counters of other nodes, so that the next ballot is seldom too low.

        One message lifts it by :data:`MOST_LIFT` at most: a peer that lies must not use it up.
        """
        self.counter = max(self.counter, min(seen.counter, self.counter + MOST_LIFT))
