"""Look at a whole network: ask the engine what runs, and every node what it sees."""

from __future__ import annotations

from chordnet.survey.description import NetworkDescription
from chordnet.survey.observer import Observer
from chordnet.survey.report import Report, survey
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.base.faults import load_faults


async def look(testbed: Testbed, observer: Observer, network: NetworkDescription) -> Report:
    """Ask every running node, and judge the ring, or that of each side of a partition.

    :raises NetworkNotRunning: no node runs.
    """
    running = await testbed.running(network)
    conditions = await testbed.engine(network.engine).conditions()
    parts = load_faults(testbed.home).sides_of(running - conditions.keys())
    return await survey(observer, network, running, conditions, parts)
