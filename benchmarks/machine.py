"""On what a run was measured: machine and versions, nothing that names its owner."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("chordnet", "twisted", "msgspec", "nats-py", "redis", "kademlia", "opendht", "aetcd")
PROGRAMS = ("nats-server", "redis-server", "etcd")


def machine() -> dict[str, str]:
    """Return processor, memory, kernel, system and Python."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions() -> dict[str, str]:
    """Return the version of every package and program compared, where installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for program in PROGRAMS:
        if path := find_program(program):
            found[program] = _program_version(path)
    return found


def find_program(name: str) -> str | None:
    """Return a program's path: the newest that is found.

    It may have come from PyPI, beside this Python, and Debian keeps servers where users' PATH may
    not lead.
    """
    beside = str(Path(sys.executable).parent)
    places = (beside, None, "/usr/sbin:/usr/local/sbin")
    found = [path for place in places if (path := shutil.which(name, path=place))]
    return max(dict.fromkeys(found), key=_number, default=None)


def _number(path: str) -> tuple[int, ...]:
    """Return a program's version for comparison; () if it says none."""
    return tuple(int(part) for part in re.findall(r"\d+", _program_version(path)))


def _program_version(path: str) -> str:
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    words = output.replace("v=", "v").split()
    numbers = [word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()]
    return numbers[0] if numbers else "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
