"""The system's limit on open files, which a network of many nodes can reach.

A node has a connection with most of the others, and this process with every node. The soft limit,
which a process may raise by itself, is raised as far as the network needs; child processes inherit
it.
"""

from __future__ import annotations

from typing import Protocol

from chordnet.survey.errors import TestbedError

OWN = 64
"""Files that a node or a command may need beside its connections with nodes."""


class Limits(Protocol):
    """The part of the module ``resource`` that is used here."""

    RLIMIT_NOFILE: int
    RLIM_INFINITY: int

    def getrlimit(self, resource: int, /) -> tuple[int, int]: ...
    def setrlimit(self, resource: int, limits: tuple[int, int], /) -> None: ...


def provide_descriptors(nodes: int, limits: Limits | None = None) -> None:
    """Make sure that a network of ``nodes`` can have its files and connections.

    :param limits: the module ``resource``, or a stand-in for it.
    :raises TestbedError: the system allows too few; the text says how many are needed.
    """
    if limits is None:
        import resource as limits  # noqa: PLC0415 - not on Windows
    assert limits is not None
    needed = nodes + OWN
    soft, hard = limits.getrlimit(limits.RLIMIT_NOFILE)
    if soft == limits.RLIM_INFINITY or soft >= needed:
        return
    if hard != limits.RLIM_INFINITY and hard < needed:
        raise TestbedError(
            f"{nodes} nodes, and a command that asks them all, need {needed} open files each, and "
            f"this system allows {hard}; raise that (ulimit -n, as an administrator), or have fewer"
        )
    limits.setrlimit(limits.RLIMIT_NOFILE, (needed, hard))
