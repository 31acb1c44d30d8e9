"""Looks at a whole network: asks the engine what runs, and every node what it sees."""

from __future__ import annotations

from chordnet.testbed.context import Testbed
from chordnet.testbed.description import NetworkDescription
from chordnet.testbed.faults import load_faults
from chordnet.testbed.observer import Observer
from chordnet.testbed.report import Report, survey


async def look(testbed: Testbed, observer: Observer, network: NetworkDescription) -> Report:
    """Ask every node that runs, and judge the ring they make, or each side's of a partition.

    :raises NetworkNotRunning: no node runs.
    """
    running = await testbed.running(network)
    conditions = await testbed.engine(network.engine).conditions()
    parts = load_faults(testbed.home).sides_of(running - conditions.keys())
    return await survey(observer, network, running, conditions, parts)
