"""A checkout of chordnet as a participant, with its own code and its own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.effort import NODES, Effort
from benchmarks.errors import BenchmarkError

DRIVER = Path(__file__).with_name("driver.py")
STOP_SECONDS = 60.0
WINDOWS = (64, 256)
"""Messages in flight."""


class CheckoutSide:
    """A network of one checkout, which stays up from round to round.

    Args:
        name: What a reader sees.
        root: Where the checkout is.
        python: Its interpreter, into whose environment it is installed.
        base_port: Port of its first node.
    """

    promise = "the same on both sides"

    def __init__(self, name: str, root: Path, python: Path, base_port: int) -> None:
        self.name = name
        self._root = root
        self._python = python
        self._base_port = base_port
        self._round = 0
        self._process: subprocess.Popen[str] | None = None

    def missing(self) -> str | None:
        """Return what is not there, or None."""
        if not (self._root / "benchmarks" / "overlay").is_dir():
            return f"{self._root} is no checkout with benchmarks/overlay"
        if not self._python.exists():
            return f"make -C {self._root} .venv-make/.developing, or name an interpreter"
        return None

    def start(self) -> None:
        """Start the driver and with it the network."""
        environment = {**os.environ, "PYTHONPATH": str(self._root)}
        settle = str(Effort().settle_seconds)
        words = (str(self._python), "-P", str(DRIVER), str(self._base_port), settle)
        self._process = subprocess.Popen(
            words, env=environment, cwd=self._root, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._answer()

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through another node than the round before."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._round += 1
        floods = zip(WINDOWS, (effort.flood, effort.burst), strict=True)
        document = {
            "origin": self._round * 5 % NODES, "paced": effort.paced, "pace": effort.pace,
            "floods": list(floods),
        }  # fmt: skip
        try:
            process.stdin.write(json.dumps(document) + "\n")
            process.stdin.flush()
        except OSError:
            raise BenchmarkError(f"{self.name} ended unexpectedly") from None
        return self._answer()

    def stop(self) -> None:
        """End the driver, which stops the network."""
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            process.communicate(timeout=STOP_SECONDS)  # the end of its input is its end
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            raise BenchmarkError(f"{self.name} did not stop its network") from None

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{self.name} ended unexpectedly")
        document: dict[str, Any] = json.loads(line)
        if "error" in document:
            error = BenchmarkError(f"{self.name}: {document['error']}")
            error.add_note(document["trace"])
            raise error
        return document
