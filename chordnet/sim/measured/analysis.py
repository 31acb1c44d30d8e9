"""Static rings of up to a million nodes, worked out with numpy: no messages, no time.

Every node has the pointers that a long rest would give it, and lookups and broadcasts follow the
rules of the core: a key is passed to the closest preceding node of finger table and successor list
(:mod:`chordnet.core.ring.routing`), by the last node before the key to its owner
(:mod:`chordnet.core.lookup.lookup`); a broadcast gives each child the range up to the next child
(:mod:`chordnet.core.broadcast.tree`). Given the same identifiers, paths and trees are those of the
core, node for node.

Tables are never stored. With p the last node before the key, the best finger of a node is the one
of slot floor(log2(distance to p)): the node p itself proves that this slot's finger lies before the
key, and nothing proves it for the next slot. So one hop is one binary search, and so is one edge of
a broadcast.

Identifiers have 64 bits here rather than 160: paths depend on the order of nodes and their
distances, and more bits change neither (two of 2**20 random identifiers are equal with a
probability of 2**-25, and are drawn again).

Needs numpy: ``pip install 'chordnet[simulate]'``.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from chordnet.core.base.errors import ChordnetError


class MissingExtra(ChordnetError, ImportError):
    """A library that only simulations need is not installed; the text says how to install it."""


try:
    import numpy as np
    from numpy.typing import NDArray
except ImportError as problem:
    raise MissingExtra("this needs numpy: pip install 'chordnet[simulate]'") from problem

BITS = 64
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)

Ids: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.int64]


@attrs.frozen(eq=False)
class Lookups:
    """The outcomes of many lookups, one entry each."""

    start: Indices
    """Index of the node that asked."""
    owner: Indices
    hops: Indices
    """Edges of the path from the asker to the owner: nodes on the path less one."""


@attrs.frozen(eq=False)
class Tree:
    """A broadcast's tree, one entry a node."""

    depth: Indices
    """Edges from the origin."""
    children: Indices
    """How many nodes it passes the message on to."""


class StaticRing:
    """A ring at rest.

    :param ids: the identifiers of the nodes, each below 2**64, in ascending order, all different.
    :param successors: r, how long successor lists are; fingers alone with 1.
    :raises ValueError: there are no identifiers, they are out of order, or ``successors`` is not
        positive.
    """

    def __init__(self, ids: Ids, successors: int) -> None:
        if ids.size == 0 or not bool(np.all(ids[:-1] < ids[1:])):
            raise ValueError("a ring takes one identifier or more, ascending and all different")
        if successors < 1:
            raise ValueError(f"a successor list has 1 entry or more, not {successors}")
        self.ids = ids
        self.count = int(ids.size)
        self._reach = successors

    # ---- pointers ---------------------------------------------------------------------------

    def owners(self, keys: Ids) -> Indices:
        """Return the index of the owner of each key: the first node at the key or after it."""
        return np.searchsorted(self.ids, keys) % self.count

    def _finger(self, nodes: Indices, last: Indices) -> Indices:
        """Return, for each node, its farthest finger that does not lie beyond ``last``."""
        distances = self.ids[last] - self.ids[nodes]  # wraps modulo 2**64, as the ring does
        slots = floor_log2(distances)
        return self.owners(self.ids[nodes] + (np.uint64(1) << slots))

    # ---- lookups ----------------------------------------------------------------------------

    def look_up(self, starts: Indices, keys: Ids) -> Lookups:
        """Look up each of ``keys`` from the node of the same place in ``starts``."""
        owners = self.owners(keys)
        # Strictly before the key: the owner of a key that is its own identifier does not count.
        before = (np.searchsorted(self.ids, keys) - 1) % self.count
        hops = np.zeros(len(keys), dtype=np.int64)
        under_way = np.flatnonzero(starts != owners)
        at = starts[under_way]
        while under_way.size:
            hops[under_way] += 1
            last = before[under_way]
            # At the last node before the key, the next hop is the owner.
            goes_on = at != last
            under_way, at, last = under_way[goes_on], at[goes_on], last[goes_on]
            if under_way.size:
                at = self._preceding(at, last)
        return Lookups(starts, owners, hops)

    def _preceding(self, nodes: Indices, last: Indices) -> Indices:
        """Return the closest known node up to ``last``, of fingers and successor list."""
        by_finger = (self._finger(nodes, last) - nodes) % self.count
        by_list = np.minimum((last - nodes) % self.count, self._reach)
        step: Indices = np.maximum(by_finger, by_list)
        return (nodes + step) % self.count

    def random_lookups(self, count: int, seed: int) -> Lookups:
        """Look up ``count`` random keys, each from a random node."""
        rng = np.random.default_rng(seed)
        starts = rng.integers(0, self.count, count)
        return self.look_up(starts, random_keys(rng, count))

    # ---- broadcast --------------------------------------------------------------------------

    def broadcast(self, origin: int) -> Tree:
        """Return the tree of a broadcast from the node of index ``origin``.

        Each step handles, as one array, every node that has a range left to give away, the widest
        range first. (El-Ansary, Alima, Brand, Haridi, IPTPS 2003.)
        """
        depth = np.zeros(self.count, dtype=np.int64)
        children = np.zeros(self.count, dtype=np.int64)
        nodes = np.array([origin], dtype=np.int64)
        # How many nodes from this one on, itself included, are its charge.
        spans = np.array([self.count], dtype=np.int64)
        while True:
            able = spans > 1
            nodes, spans = nodes[able], spans[able]
            if not nodes.size:
                return Tree(depth, children)
            child = self._finger(nodes, (nodes + spans - 1) % self.count)
            steps = (child - nodes) % self.count
            depth[child] = depth[nodes] + 1
            children[nodes] += 1
            # The child answers for what lies beyond it, the node for what lies before.
            nodes = np.concatenate((nodes, child))
            spans = np.concatenate((steps, spans - steps))


# ---- keys -----------------------------------------------------------------------------------


def keys_per_node(nodes: int, virtual: int, keys: int, seed: int) -> Indices:
    """Return how many of ``keys`` random keys each node owns.

    :param virtual: at how many places of the ring each node stands.
    """
    rng = np.random.default_rng(seed)
    places = random_ids(rng, nodes * virtual)
    # Sorted random identifiers, shuffled onto nodes: each node stands at any of the places.
    standing = rng.permutation(nodes * virtual) % nodes
    owners = standing[np.searchsorted(places, random_keys(rng, keys)) % places.size]
    return np.bincount(owners, minlength=nodes)


# ---- identifiers ----------------------------------------------------------------------------


def random_ring(nodes: int, seed: int, successors: int = 1) -> StaticRing:
    """Return a ring of ``nodes`` random identifiers."""
    return StaticRing(random_ids(np.random.default_rng(seed), nodes), successors)


def random_ids(rng: np.random.Generator, count: int) -> Ids:
    """Return ``count`` different random identifiers, ascending."""
    ids = np.unique(random_keys(rng, count))
    while ids.size < count:
        ids = np.unique(np.concatenate((ids, random_keys(rng, count - ids.size))))
    return ids


def random_keys(rng: np.random.Generator, count: int) -> Ids:
    """Return ``count`` random places on the ring."""
    return rng.integers(0, 1 << BITS, count, dtype=np.uint64)


def floor_log2(values: Ids) -> Ids:
    """Return the position of the highest bit of each value, which must not be 0.

    In two halves: a float holds 53 bits exactly, and would round 2**60 - 1 up to 2**60.
    """
    high = values >> _HALF
    part = np.where(high > 0, high, values & _LOW).astype(np.float64)
    exponent = (np.frexp(part)[1] - 1).astype(np.uint64)
    return np.where(high > 0, exponent + _HALF, exponent)
