"""How much is measured: the sizes of a full run and of a quick one."""

from __future__ import annotations

from attrs import frozen

NODES = 16
"""Nodes of the network, and subscribers or nodes of each rival."""

PAYLOAD_BYTES = 100
"""Size of every message sent."""


@frozen
class Effort:
    """Counts and durations of one run.

    Attributes:
        rounds: Interleaved rounds of each side-by-side benchmark.
        paced: Messages a round of the latency benchmark.
        pace: Seconds from one such message to the next; each waits for the one before.
        flood: Messages a round of the throughput benchmark.
        flood_window: Messages in flight in it.
        burst: Messages a round of the second throughput benchmark.
        burst_window: Messages in flight in it.
        lookups: Lookups a round.
        lookup_window: Lookups in flight.
        keys: Keys written, and read, one at a time in a round.
        keys_flood: Keys written, and read, many at a time in a round.
        keys_window: Operations in flight in it.
        starts: Times the network is started from nothing.
        kills: Nodes killed, one after another.
        freezes: Nodes frozen, one after another.
        idle_seconds: How long the idle network is watched.
        settle_seconds: Rest of a fresh network before anything is measured on it.
    """

    rounds: int = 5
    paced: int = 200
    pace: float = 0.02
    flood: int = 4000
    flood_window: int = 50
    burst: int = 12000
    burst_window: int = 256
    lookups: int = 8000
    lookup_window: int = 64
    keys: int = 200
    keys_flood: int = 2000
    keys_window: int = 50
    starts: int = 3
    kills: int = 6
    freezes: int = 3
    idle_seconds: float = 20.0
    settle_seconds: float = 5.0


FULL = Effort()
QUICK = Effort(
    rounds=2,
    paced=50,
    flood=1000,
    burst=3000,
    lookups=2000,
    keys=50,
    keys_flood=500,
    starts=1,
    kills=2,
    freezes=1,
    idle_seconds=5.0,
    settle_seconds=2.0,
)
