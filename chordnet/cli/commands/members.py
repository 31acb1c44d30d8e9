"""``p2pnet remove-node`` and ``p2pnet add-node``."""

from __future__ import annotations

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    json_option,
    network_option,
    no_wait_option,
    node_argument,
    timeout_option,
)
from chordnet.draw.phrases import count
from chordnet.testbed.actions import changes
from chordnet.testbed.actions.changes import Removed
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.lifecycle import Started
from chordnet.testbed.actions.store import Settle

TIMEOUT_S = 60.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet remove-node 9
  p2pnet remove-node 9 --kill
""",
)
@node_argument()
@click.option("--kill", is_flag=True, help="Give it no chance to leave the ring in order.")
@no_wait_option("until others hold its share of the keys")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def remove_node(
    node: int | str, kill: bool, no_wait: bool, timeout: float, as_json: bool, network: str
) -> None:
    """Stop one node; returns when the others have repaired ring and fingers.

    Before that it hands over the keys that it holds. If no other node takes them it is not removed.
    A node that is killed cannot: others take its share after 15 seconds, which is waited for, too.
    """
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> Removed:
        return await changes.remove_node(
            testbed, number, kill=kill, timeout=timeout, wait=not no_wait
        )

    done = with_testbed(network, work)
    if as_json:
        print_json(removed_json(done))
    elif done.members:
        print(f"Node {number} removed; {ring_text(done.members, done.seconds)}")
    else:
        print(f"Node {number} removed; no node is left running")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet add-node 9        brings Node 9 back with its data
  p2pnet add-node          adds the next number
""",
)
@node_argument(required=False)
@no_wait_option("until the store of keys is in step")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def add_node(
    node: int | str | None, no_wait: bool, timeout: float, as_json: bool, network: str
) -> None:
    """Bring a stopped node back, or add the next number; returns when the ring is right."""
    number = None if node is None else chosen_node(network, node)

    async def work(testbed: Testbed) -> tuple[int, Started]:
        settle = Settle.NOTHING if no_wait else Settle.IN_STEP
        return await changes.add_node(testbed, number, timeout, settle)

    added, done = with_testbed(network, work)
    if as_json:
        print_json(added_json(added, done))
    else:
        print(f"Node {added} added; {ring_text(done.members, done.seconds)}")


def removed_json(done: Removed) -> dict[str, object]:
    """Return the outcome of a removal as its JSON document."""
    return {
        "node": done.node,
        "killed": done.killed,
        "slots": done.slots,
        "members": done.members,
        "seconds": round(done.seconds, 3),
    }


def added_json(added: int, done: Started) -> dict[str, object]:
    """Return the outcome of an addition as its JSON document."""
    return {
        "node": added,
        "address": done.network.address(added),
        "members": done.members,
        "seconds": round(done.seconds, 3),
    }


def ring_text(members: int, seconds: float) -> str:
    """Return ``15 nodes in one ring after 0.4 s``."""
    return f"{count(members, 'node')} in one ring after {seconds:.1f} s"
