"""One run: what was asked for, in an order in which nothing disturbs anything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.contests import CONTESTS, Contest
from benchmarks.effort import Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.figures import Figure
from benchmarks.overlay.network import Network
from benchmarks.overlay.sides import OverlaySide
from benchmarks.rounds import interleave
from benchmarks.solos import SOLOS, Solo

NAMES = tuple(each.name for each in (*SOLOS[:2], *CONTESTS, *SOLOS[2:]))
"""In the order of the run: the fresh network first, the blows to it last."""

RIVAL_PORTS = 100
"""The rivals' ports lie so far above the network's, each rival's this far above the last's:"""
RIVAL_STEP = 20


class Session:
    """Runs benchmarks by name and collects their figures.

    Args:
        effort: How much of everything.
        base_port: First of the ports to use.
        names: What to run.
        tell: Called with what is happening.

    Attributes:
        traces: Tracebacks of workers that failed.
    """

    def __init__(
        self, effort: Effort, base_port: int, names: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._effort = effort
        self._base_port = base_port
        self._names = names
        self._tell = tell
        self.traces: list[str] = []

    def run(self, *, with_chordnet: bool) -> list[Figure]:
        """Run and return the figures in the order of the run.

        Raises:
            BenchmarkError: The network does not start, or does not stop.
        """
        by_name: dict[str, Solo | Contest] = {each.name: each for each in (*SOLOS, *CONTESTS)}
        chosen = [by_name[name] for name in NAMES if name in self._names]
        if not with_chordnet:
            contests = [each for each in chosen if isinstance(each, Contest)]
            return [figure for each in contests for figure in self._contest(each, None)]
        with ExitStack() as stack:
            network = Network(self._base_port)
            stack.callback(network.close)
            self._tell("starting chordnet")
            network.start()
            self._tell("letting the network come to rest")
            time.sleep(self._effort.settle_seconds)
            return [figure for each in chosen for figure in self._figures(each, network)]

    def _figures(self, each: Solo | Contest, network: Network) -> list[Figure]:
        if isinstance(each, Contest):
            return self._contest(each, network)
        self._tell(each.name)
        try:
            return each.figures(each.measure(network, self._effort))
        except BenchmarkError as error:
            self.traces += notes_of(error)
            return each.figures({}, str(error))

    def _contest(self, contest: Contest, network: Network | None) -> list[Figure]:
        first = self._base_port + RIVAL_PORTS
        rivals = [make(first + i * RIVAL_STEP) for i, make in enumerate(contest.rivals)]
        ours = [OverlaySide(network, contest.name)] if network else []
        results = interleave([*ours, *rivals], self._effort, self._tell)
        self.traces += [trace for result in results for trace in result.traces]
        return contest.figures(results[0] if ours else None, results[len(ours) :])
