"""Identify processes so that a reused pid is never taken for the process that was started.

The system reuses pids, but not together with the moment at which the process started. A pid file
keeps that pair, and it is checked before every signal. On Linux the moment is in ``/proc/PID/stat``
(field 22, clock ticks since boot; proc(5)), and a pid file from before the last boot is recognised
by the boot's identifier. Elsewhere ``ps`` tells it to the second.

A process that has ended and was not yet collected by its parent (state Z) counts as ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import attrs

PROC = Path("/proc")
_BOOT_ID = PROC / "sys/kernel/random/boot_id"
_STARTED = 19
"""Index of the start time among the fields that follow the command's name."""


@attrs.frozen
class ProcessIdentity:
    """One process, by pid and start."""

    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """Parse the result of ``str()``; return None if the text is something else."""
        number, _, started = text.strip().partition(" ")
        if not number.isascii() or not number.isdigit() or int(number) < 2 or not started:
            return None
        return cls(int(number), started)


def _from_proc(pid: int) -> str | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in parentheses and may contain anything, even parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return f"{fields[_STARTED]}@{_boot_id()}"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "-"


def _from_ps(pid: int) -> str | None:
    ps = shutil.which("ps")
    if ps is None:
        return None
    answer = subprocess.run(
        [ps, "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else " ".join(started.split())


def start_moment(pid: int) -> str | None:
    """Return a text for the moment at which the process started; None if it has ended."""
    return _from_proc(pid) if (PROC / "self/stat").exists() else _from_ps(pid)


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a process that runs now; None if it has ended."""
    started = start_moment(pid)
    return None if started is None else ProcessIdentity(pid, started)


def is_running(process: ProcessIdentity) -> bool:
    """Return True if this same process still runs."""
    return start_moment(process.pid) == process.started


def is_stopped(process: ProcessIdentity) -> bool:
    """Return True if this same process is stopped, as after SIGSTOP."""
    if not is_running(process):
        return False
    if (PROC / "self/stat").exists():
        try:
            text = (PROC / str(process.pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] in ("T", "t")
    ps = shutil.which("ps") or "ps"
    answer = subprocess.run(
        [ps, "-o", "stat=", "-p", str(process.pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip().startswith("T")


def send_signal(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to this same process; return True if it was still there.

    If the system has process descriptors, one closes the gap between the check and the signal: it
    always refers to the process that was checked.
    """
    if not hasattr(os, "pidfd_open"):
        return _send_plainly(process, number)
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # an old kernel, or a sandbox that forbids it
        return _send_plainly(process, number)
    try:
        if not is_running(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _send_plainly(process: ProcessIdentity, number: signal.Signals) -> bool:
    if not is_running(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False
