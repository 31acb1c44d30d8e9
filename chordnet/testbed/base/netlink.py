"""Cut and slow down the lines of containers. Linux, with the standard library alone.

The docker engine hands this file's text to ``python3 -c`` in a container of its own that sees the
host's processes and may change their networks, so no node and no host needs a tool for it. For each
node, given as a process of its container, it applies the wanted faults and replaces those of
earlier runs:

- ``cut``: addresses that no packet may reach. Each gets a neighbour's hardware address that no
  device has (arp(7), rtnetlink(7)), so packets to it vanish silently, as on a broken line: existing
  connections get no error, new ones no answer. The way to the host stays, and with it the published
  port.
- ``netem``: delay and loss of everything that leaves the container (tc-netem(8)).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOBODY = "02:63:68:6f:72:64"
"""A locally administered hardware address; Docker's own begin with 02:42."""
DEVICE = "eth0"
GONE = 75
"""The exit status if a container has ended or was just starting: look at them again."""
NETEM_PACKETS = 10_000
"""Packets that a netem queue holds."""

_REQUEST_ACK = 0x1 | 0x4
_CREATE_REPLACE = 0x400 | 0x100
_NEW_NEIGHBOUR, _DEL_NEIGHBOUR, _NEW_QDISC, _DEL_QDISC = 28, 29, 36, 37
_PERMANENT = 0x80
_ROOT = 0xFFFFFFFF
_HANDLE = 0x63680000
_NETWORK_NAMESPACE = 0x40000000


def attribute(kind: int, value: bytes) -> bytes:
    """Return a netlink attribute, padded to four bytes (netlink(7))."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def neighbour(device: int, address: str) -> bytes:
    """Return the body that gives ``address`` the hardware address that no device has."""
    head = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, device, _PERMANENT, 0, 0)
    hardware = bytes.fromhex(NOBODY.replace(":", ""))
    return head + attribute(1, socket.inet_aton(address)) + attribute(2, hardware)


def netem(device: int, delay_ms: float, jitter_ms: float, loss_percent: float) -> bytes:
    """Return the body that puts a netem queue at a device's root."""
    loss = round(loss_percent / 100 * 0xFFFFFFFF)
    options = struct.pack("=IIIIII", 0, NETEM_PACKETS, loss, 0, 0, 0)
    options += attribute(10, struct.pack("=q", round(delay_ms * 1e6)))  # nanoseconds
    options += attribute(11, struct.pack("=q", round(jitter_ms * 1e6)))
    return qdisc(device) + attribute(1, b"netem\0") + attribute(2, options)


def qdisc(device: int) -> bytes:
    """Return the head of a body about a device's root queue."""
    return struct.pack("=BBHiIII", 0, 0, 0, device, _HANDLE, _ROOT, 0)


def silenced(arp: str) -> list[str]:
    """Return the addresses that are cut off now, from the text of ``/proc/net/arp``."""
    lines = (line.split() for line in arp.splitlines()[1:])
    return [words[0] for words in lines if len(words) > 3 and words[3] == NOBODY]


def ask(kind: int, flags: int, body: bytes) -> int:
    """Send one request to the kernel and return its error number, 0 for success."""
    length = 16 + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", length, kind, _REQUEST_ACK | flags, 1, 0) + body)
        answer = kernel.recv(65536)
    number: int = -struct.unpack_from("=i", answer, 16)[0]
    return number


def enter(path: str) -> None:
    """Move into the network that a file of a process names (setns(2)).

    :raises OSError: the process has ended, or this is not permitted.
    """
    namespace = os.open(path, os.O_RDONLY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(namespace, _NETWORK_NAMESPACE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(namespace)


def shape(cut: list[str], slow: list[float] | None) -> str:
    """Apply the wanted faults to the line; return what failed, an empty text if nothing did.

    :param slow: delay and jitter in milliseconds, loss in percent.
    """
    table = Path("/proc/net/arp").read_text(encoding="ascii")
    return bring_about(socket.if_nametoindex(DEVICE), set(silenced(table)), cut, slow, ask)


def bring_about(
    device: int,
    before: set[str],
    cut: list[str],
    slow: list[float] | None,
    ask: Callable[[int, int, bytes], int],
) -> str:
    """Do the work of :func:`shape`.

    :param before: addresses that are silenced now.
    :param ask: sends a request to the kernel; returns the error number, 0 for success.
    """
    for address in sorted(before - set(cut)):
        ask(_DEL_NEIGHBOUR, 0, neighbour(device, address))
    for address in cut:
        problem = ask(_NEW_NEIGHBOUR, _CREATE_REPLACE, neighbour(device, address))
        if problem:
            return f"{address} cannot be cut off: {os.strerror(problem)}"
    ask(_DEL_QDISC, 0, qdisc(device))  # an error if there is none
    if slow is None:
        return ""
    problem = ask(_NEW_QDISC, _CREATE_REPLACE, netem(device, *slow))
    if problem == errno.ENOENT:
        return (
            "the kernel under Docker has no netem, which makes delay and loss; "
            "load it there with: modprobe sch_netem"
        )
    return f"netem cannot be set: {os.strerror(problem)}" if problem else ""


def main(
    wanted: list[dict[str, Any]],
    enter: Callable[[str], None] = enter,
    shape: Callable[[list[str], list[float] | None], str] = shape,
) -> tuple[int, str]:
    """Apply the wanted faults to each node.

    :param enter: moves into a network.
    :param shape: applies the faults there.
    :returns: the exit status, and the first thing that failed.
    """
    for node in wanted:
        try:
            enter(f"/proc/{node['pid']}/ns/net")
            problem = shape(node["cut"], node["netem"])
        except OSError as error:
            why = error.strerror or error
            status = 1 if error.errno in (errno.EPERM, errno.EACCES) else GONE
            return status, f"the network of node {node['node']} cannot be entered: {why}"
        if problem:
            return 1, problem
    return 0, ""


if __name__ == "__main__":
    status, text = main(json.loads(sys.argv[1]))
    sys.stderr.write(f"{text}\n" if text else "")
    sys.exit(status)
