"""Look at networks: ask the engine what runs, and every node what it sees."""

from __future__ import annotations

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.observer import Observer
from chordnet.survey.report import Report, survey
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.base.faults import load_faults
from chordnet.testbed.base.home import NetworkHome


async def look(testbed: Testbed, observer: Observer, network: NetworkDescription) -> Report:
    """Ask every running node, and judge the ring, or that of each side of a partition.

    :raises NetworkNotRunning: no node runs.
    """
    running = await testbed.running(network)
    conditions = await testbed.conditions(network, running)
    parts = load_faults(testbed.home).sides_of(running - conditions.keys())
    return await survey(observer, network, running, conditions, parts)


@attrs.frozen
class Known:
    """One network, as far as it is known."""

    name: str
    description: NetworkDescription | None
    running: frozenset[int]
    problem: str
    """Why more is not known; empty if it is."""


async def known_networks(testbed: Testbed) -> list[Known]:
    """Return the networks of the testbed's home, by their names."""
    folder = testbed.home.root / "networks"
    kept = folder.iterdir() if folder.is_dir() else ()
    names = sorted(each.name for each in kept if each.is_dir())
    found = [await _known(testbed, NetworkHome(testbed.home.root, name)) for name in names]
    return [each for each in found if each is not None]


async def _known(testbed: Testbed, home: NetworkHome) -> Known | None:
    description = None
    try:
        description = home.load()
        if description is None:
            return None
        engine = testbed.engines.make(description.engine, testbed.reactor, home)
        return Known(home.name, description, await engine.running(), "")
    except TestbedError as problem:
        return Known(home.name, description, frozenset(), str(problem))
