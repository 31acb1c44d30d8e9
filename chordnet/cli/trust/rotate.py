"""``p2pnet rotate-authority``: put a new root in the place of the old one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.survey.findings import called
from chordnet.testbed.actions.context import Testbed

if TYPE_CHECKING:
    from chordnet.testbed.membership.rotating import Rotated

TIMEOUT_S = 120.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet rotate-authority
  p2pnet rotate-authority --keep-old
""",
)
@click.option("--keep-old", is_flag=True, help="Do not remove the old root yet.")
@click.option("--leave-behind", is_flag=True, help="Do not wait for nodes that do not answer.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def rotate_authority(
    keep_old: bool, leave_behind: bool, timeout: float, as_json: bool, network: str
) -> None:
    """Give the authority a new key, and every node a certificate of it, while the network runs.

    The new root is added, issuers and nodes get certificates of it, and the old root is removed. If
    that is interrupted or does not end in time, run the command again. Members that are off keep
    certificates of the old root: with --keep-old they can still renew them, until the command is
    run without it.
    """
    from chordnet.testbed.membership.rotating import rotate  # noqa: PLC0415 - loads cryptography

    async def work(testbed: Testbed) -> Rotated:
        return await rotate(testbed, timeout, keep_old=keep_old, leave=leave_behind)

    done = with_testbed(network, work)
    if as_json:
        print_json(rotated_json(network, done))
    else:
        for line in rotated_lines(done):
            print(plain(line))


def rotated_lines(done: Rotated) -> Iterator[str]:
    """Return what has been done, in lines for people."""
    nodes = count(len(done.nodes), "node")
    yield f"the new root is {done.root}; {nodes} have certificates of it"
    if done.finished:
        yield "the old root is removed"
    else:
        yield "the old root is kept; run the command without --keep-old to remove it"
    fate = "has to join with a new token" if done.finished else "does not answer"
    for ref in done.left:
        yield f"{called(ref)} {fate}, unless p2pnet starts it"
    for name in done.clients:
        then = "has to join again" if done.finished else "still has a certificate of the old root"
        yield f"{name}, a client, {then}"


def rotated_json(network: str, done: Rotated) -> dict[str, Any]:
    """Return what has been done as the JSON document of the command."""
    return {
        "network": network,
        "root": done.root,
        "finished": done.finished,
        "nodes": list(done.nodes),
        "left": [{"node": ref, "why": why} for ref, why in done.left.items()],
        "clients": list(done.clients),
    }
