"""The published experiments with the protocol core, as far as possible with the paper's algorithm.

*Simultaneous failures* (Stoica et al., ToN 11(1), 2003, section VI-D). Each of 1000 nodes with
successor lists of 20 vanishes with a given probability, all in the same moment. Nothing is repaired
or remembered while lookups run, so each of them meets the same tables; a lookup asks no dead node
twice. Each live node already knows that its predecessor is dead, since in chordnet a key's owner
answers only then.

*Churn* (section VI-E). Joins and departures are Poisson processes; a departing node tells its two
neighbours only. There is one lookup a second. Each node stabilises every 15 to 45 s, and looks up
each finger as often as in the paper's simulator, regardless of any changes; a node that does not
answer within 500 ms is taken for gone. Chordnet's own finger upkeep and audits are off, except that
a dead finger is replaced immediately, by a lookup. The paper's simulator looks nothing up then
(``removeFinger`` in ``finger.c``), but it need not: its one list for routing also holds some 17
nodes met in requests, its own and those of others (``processRequest`` in ``request.c`` inserts the
initiator and the sender of each), and ``getNeighbors`` takes the closest of all, so that another
node near by usually replaces a dead finger without delay. Chordnet keeps no such nodes, and a
lookup comes nearest to it. For comparison there are runs whose dead fingers leave their slots empty
until the next pass, and runs with chordnet's whole upkeep.

These differences remain: stabilisation takes over the successor's whole list, so that its entries
are fresher than those of the paper's simulator, which looks them up one by one; a lookup asks no
dead node twice; and a replacement is the right finger, not merely a node near by. Measuring starts
when the perfect tables of the start have faded.
"""

from __future__ import annotations

from random import Random

import attrs

from chordnet.core.base.config import FingerUpkeep, ProtocolConfig
from chordnet.sim.measured import churn
from chordnet.sim.measured.experiment import Experiment, Settings
from chordnet.sim.measured.published import NODES, SUCCESSORS
from chordnet.sim.scenarios.scenario import name_of
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.latency import happens, uniform
from chordnet.sim.world.meter import LookupMeter, Measured
from chordnet.sim.world.network import Network

NEVER_S = 1e7
"""A pause that no run outlives."""
STABILISE_S = 30.0
"""The published pause between stabilisations, on average; varied by half of it either way."""
PASS_S = 2 * 23 * STABILISE_S
"""How often a finger is looked up: every other stabilisation does the next of 23 (``chooseX`` in
``stabilize.c`` of the paper's simulator; it has identifiers of 24 bits)."""
TIMEOUT_S = 0.5
"""After this a node of the paper takes another for gone."""
WARM_UP_S = 2 * PASS_S
"""Churn before this moment is not measured."""
LEFT_EMPTY = FingerUpkeep(hints=False, repair_on_use=False, checks=False, prompt=False)
"""A dead finger's slot stays empty until the next pass."""
REPLACED = attrs.evolve(LEFT_EMPTY, repair_on_use=True)
"""A dead finger's slot is looked up immediately."""
OURS = FingerUpkeep()
"""Everything that chordnet does for its fingers."""


def failures(dead: float, seed: int, lookups: int) -> list[Measured]:
    """Return the lookups of one ring.

    Everything happens before a silent connection is given up, so that nothing is evicted: the
    lookups start immediately, and each timeout is short.
    """
    config = ProtocolConfig(
        successors=SUCCESSORS,
        stabilise_fast_s=NEVER_S,
        stabilise_idle_s=NEVER_S,
        fingers_fast_s=NEVER_S,
        fingers_idle_s=NEVER_S,
        probe_timeout_s=NEVER_S,
        probe_interval_s=NEVER_S,
        broken_timeout_s=0.01,
        audit_s=NEVER_S,
        audit_min_s=NEVER_S,
        sync_s=NEVER_S,
        request_timeout_s=0.05,
        lookup_deadline_s=60.0,
        finger_upkeep=LEFT_EMPTY,
    )
    network, rng = Network(seed, config, latency=uniform(0.0001, 0.0002)), Random(f"dead {seed}")
    meter = LookupMeter(network, rng)
    names = [name_of(number) for number in range(1, NODES + 1)]
    hosts = right_ring(network, names, names[:2])
    gone = {name for name in names if happens(rng, dead)}
    for before, after in zip(hosts, hosts[1:] + hosts[:1], strict=True):
        if before.ref.name in gone:
            network.sever(before.ref.name, after.ref.name)
    for host in hosts:
        if host.ref.name in gone:
            network.kill(host.ref.name, silent=True)
    network.run(0.1)
    for _ in range(lookups):
        meter.ask()
    network.run(config.lookup_deadline_s, until=lambda: not meter.under_way)
    return meter.lookups


def churned(
    rate: float,
    seed: int,
    measured_s: float,
    *,
    upkeep: FingerUpkeep = REPLACED,
    nodes: int = NODES,
    warm_up_s: float = WARM_UP_S,
) -> list[Measured]:
    """Return the lookups of a run after its beginning."""
    experiment = Experiment(
        Settings(
            nodes=nodes,
            duration_s=warm_up_s + measured_s,
            seed=seed,
            config=churn_config(upkeep),
            churn=churn.poisson(rate),
            orderly=1.0,
            quiet=True,
            lookups_per_s=1.0,
            settle=False,
        )
    )
    experiment.run()
    return [each for each in experiment.meter.lookups if each.began_s >= warm_up_s]


def churn_config(upkeep: FingerUpkeep) -> ProtocolConfig:
    """Return settings of the published pace with this upkeep; only chordnet's own has audits."""
    default, audits = ProtocolConfig.wide_area(), upkeep == OURS
    return attrs.evolve(
        default,
        successors=SUCCESSORS,
        jitter=0.5,
        sync_s=NEVER_S,
        stabilise_fast_s=STABILISE_S,
        stabilise_idle_s=STABILISE_S,
        fingers_fast_s=PASS_S,
        fingers_idle_s=PASS_S,
        request_timeout_s=TIMEOUT_S,
        probe_timeout_s=TIMEOUT_S,
        probe_interval_s=TIMEOUT_S / 2,
        broken_timeout_s=TIMEOUT_S,
        leave_drain_s=TIMEOUT_S,
        finger_upkeep=upkeep,
        audit_s=default.audit_s if audits else NEVER_S,
        audit_min_s=default.audit_min_s if audits else NEVER_S,
    )
