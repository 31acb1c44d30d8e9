"""What Linux tells about a process: processor time and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from benchmarks.errors import BenchmarkError

_TICKS = os.sysconf("SC_CLK_TCK")


def parse_stat(text: str) -> float:
    """Return the seconds of processor time in the text of ``/proc/PID/stat``.

    The second field is the program's name in brackets and may itself hold
    spaces and brackets, so the fields are counted from the last bracket.
    """
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def parse_pss(text: str) -> int:
    """Return the proportional set size, in bytes, in the text of ``smaps_rollup``.

    Raises:
        ValueError: There is no such line.
    """
    return _rollup(text, "Pss")


def parse_own(text: str) -> int:
    """Return the memory that holds what a process has made, in bytes, in ``smaps_rollup``.

    That is its anonymous memory, swapped out or not. Who else uses the same pages, which can change
    at any moment, is no matter.

    Raises:
        ValueError: One of the lines is missing.
    """
    return _rollup(text, "Anonymous") + _rollup(text, "Swap")


def _rollup(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {name} line")


def parse_status(text: str) -> tuple[int, int]:
    """Return the resident memory and its peak, in bytes, in the text of ``/proc/PID/status``.

    Raises:
        ValueError: One of the lines is missing.
    """
    found = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("Vm"))
    try:
        now, peak = (int(found[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    except KeyError as missing:
        raise ValueError(f"no line {missing}") from None
    return now, peak


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that the processes have used so far, in all.

    Raises:
        BenchmarkError: One of them has ended.
    """
    return sum(parse_stat(_read(pid, "stat")) for pid in pids)


def pss_bytes(pid: int) -> int:
    """Return a process's proportional memory: shared pages divided by their users.

    Raises:
        BenchmarkError: It has ended.
    """
    return parse_pss(_read(pid, "smaps_rollup"))


def own_bytes(pid: int) -> int:
    """Return a process's anonymous memory, which nothing but what it does itself changes.

    Raises:
        BenchmarkError: It has ended.
    """
    return parse_own(_read(pid, "smaps_rollup"))


def resident_bytes(pid: int) -> tuple[int, int]:
    """Return a process's resident memory, shared pages included, and its peak since `reset_peak`.

    Raises:
        BenchmarkError: It has ended.
    """
    return parse_status(_read(pid, "status"))


def reset_peak(pid: int) -> None:
    """Let the peak of a process begin again at what it has now.

    Raises:
        BenchmarkError: It has ended, or is another user's.
    """
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError as error:
        raise BenchmarkError(f"process {pid} cannot be reset: {error.strerror}") from None


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise BenchmarkError(f"process {pid} cannot be read: {error.strerror}") from None
