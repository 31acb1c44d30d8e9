"""What tests of the log's and of the store's files have in common."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.storage.statedir import StateDirectory


class StateDirectoryCase(SynchronousTestCase):
    """A state directory, its warnings, and a clock to be set."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.warnings: list[str] = []
        self.wall = 1000.0

    def open(self) -> StateDirectory:
        state = StateDirectory(self.path, self.warnings.append, lambda: self.wall)
        self.addCleanup(state.close)
        return state


class SmallFiles(SynchronousTestCase):
    """Makes files that cannot grow."""

    def limit(self, size: int) -> None:
        """Let this process write no file beyond ``size``; as on a full disk, a part may fit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    def no_limit(self) -> None:
        _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def left_by_death(path: Path, close: Callable[[], object]) -> None:
    """Leave the files in ``path`` as they are at this moment: what the death of a process leaves.

    :param close: closes them, so that they can be opened again.
    """
    then = path.with_name(path.name + "-then")
    shutil.copytree(path, then)
    close()
    shutil.rmtree(path)
    then.rename(path)


def frames(data: bytes) -> list[int]:
    """Return where each frame of a file written ahead begins, and where the last one ends."""
    starts = [0]
    while starts[-1] < len(data):
        starts.append(starts[-1] + 12 + int.from_bytes(data[starts[-1] : starts[-1] + 4], "big"))
    return starts
