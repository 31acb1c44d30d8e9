"""The seam between a benchmark and whatever takes part in it."""

from __future__ import annotations

from typing import Protocol

from benchmarks.effort import Effort


class Side(Protocol):
    """One participant: chordnet or a rival, started once and measured every round."""

    name: str
    """What a reader sees."""
    promise: str
    """What holds of a message once it counts: for which nodes, on how many disks, written how."""

    def missing(self) -> str | None:
        """Return how to install what is not there, in one line, or None."""

    def start(self) -> None:
        """Bring everything up.

        Raises:
            BenchmarkError: It does not come up.
        """

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round and return the number of each gauge, by its key.

        Raises:
            BenchmarkError: The round could not be finished.
        """

    def stop(self) -> None:
        """End every process that `start` began, also after a failure."""
