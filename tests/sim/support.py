"""What the simulator's tests share."""

from __future__ import annotations

import os
from pathlib import Path

from chordnet.core.base.config import ProtocolConfig
from chordnet.sim.scenarios.scenario import Scenario, loads, name_of
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.network import Network

SCENARIOS = Path(__file__).with_name("scenarios")
LONG = os.environ.get("CHORDNET_SIM_LONG") == "1"
LONG_REASON = "takes minutes; set CHORDNET_SIM_LONG=1"


def scenario(name: str) -> Scenario:
    """Read one of the scenario files."""
    return loads((SCENARIOS / f"{name}.toml").read_text("utf-8"))


def names(count: int) -> list[str]:
    return [name_of(number) for number in range(1, count + 1)]


def ring_of(count: int, seed: int = 1, **config: object) -> Network:
    """Return a network with one right ring."""
    network = Network(seed, ProtocolConfig(**config))  # type: ignore[arg-type]
    right_ring(network, names(count), names(2))
    return network
