"""Rings built without joining: right ones of any size, several side by side, and loopy ones.

Ten thousand nodes would take long to join one by one. Here every node is given the pointers that it
would have after a long rest; from then on the protocol runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from chordnet.core.base.messages import NodeRef, RingLabel
from chordnet.judge.invariants import ideal_successor
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network


def right_ring(network: Network, names: Sequence[str], bootstrap: Sequence[str]) -> list[Host]:
    """Put new nodes called ``names`` into one right ring of exactly these.

    :param bootstrap: addresses that each of them may ask in audits and after a restart.
    """
    return _ring(network, _ordered(network, names, bootstrap), windings=1)


def loopy_ring(
    network: Network, names: Sequence[str], bootstrap: Sequence[str], windings: int = 2
) -> list[Host]:
    """Put new nodes into one cycle that goes round the identifiers ``windings`` times.

    Every node finds its successor's predecessor to be itself, so stabilisation sees nothing wrong:
    the weakly stable, loopy state of Liben-Nowell, Balakrishnan, Karger (PODC 2002). The number of
    nodes must not be a multiple of ``windings``, or the cycles fall apart.

    :raises ValueError: it is.
    """
    if len(names) % windings == 0:
        raise ValueError(
            f"a loopy ring of {windings} windings cannot have a multiple of {windings} nodes"
        )
    return _ring(network, _ordered(network, names, bootstrap), windings)


def _ordered(network: Network, names: Sequence[str], bootstrap: Sequence[str]) -> list[Host]:
    hosts = [network.make(name, list(bootstrap)) for name in names]
    return sorted(hosts, key=lambda host: host.ref.id)


def _ring(network: Network, hosts: list[Host], windings: int) -> list[Host]:
    refs = [host.ref for host in hosts]
    ids = [ref.id for ref in refs]
    by_id = dict(zip(ids, refs, strict=True))
    label = RingLabel(0, network.rng.getrandbits(63))
    count, step, space = len(refs), windings, network.space
    # Lists stop before they come round to their owner's identifier, as the protocol's own do.
    length = min(network.config.successors, (count - 1) // step)
    for index, host in enumerate(hosts):
        me = ids[index]
        successors = [refs[(index + step * k) % count] for k in range(1, length + 1)]
        fingers: dict[int, NodeRef] = {}
        if count > 1 and step == 1:
            # Slots up to the successor's distance share one node; no need to search for each.
            near = (ids[(index + 1) % count] - me) % space.size
            for slot in range(space.bits):
                node = (
                    ids[(index + 1) % count]
                    if 1 << slot <= near
                    else ideal_successor(ids, (me + (1 << slot)) % space.size)
                )
                if node != me:
                    fingers[slot] = by_id[node]
        predecessor = refs[(index - step) % count]
        host.node.place(label, predecessor, successors, fingers, host.bootstrap, host.clock(0.0))
    for host in hosts:
        network.placed(host)
    return hosts
