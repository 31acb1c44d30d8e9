"""``p2pnet store can-stop``: whether a node can be stopped while its keys stay usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from chordnet.cli.base.failures import FAILED
from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.draw.phrases import plain
from chordnet.survey.store.standing import at_risk, slot_words
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.stores import StoreStanding

TIMEOUT_S = 10.0
SHOWN = 10
"""Lines about slots; the rest is counted."""


@click.command(
    "can-stop",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store can-stop 4
  p2pnet store can-stop 4 && p2pnet remove-node 4 --no-wait
""",
)
@node_argument()
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def can_stop(node: int | str, timeout: float, as_json: bool, network: str) -> int:
    """Say if NODE can be stopped while every key that it holds can be read and written.

    That is so if of each slot that it holds a majority answers without it; then the exit status is
    0, otherwise 1. The node itself asks the others.
    """
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> tuple[StoreStanding, Names]:
        names = Names(testbed.checked(number))
        return await testbed.ask(number, lambda client: client.can_stop(), timeout), names

    found, names = with_testbed(network, work)
    if as_json:
        print_json({"network": network, "node": number, **standing_json(found, names)})
    else:
        for line in standing_lines(number, found, names):
            print(plain(line))
    return 0 if found.can_stop else FAILED


def standing_lines(number: int, found: StoreStanding, names: Names) -> Iterator[str]:
    """Return the answer in lines for people."""
    if found.can_stop:
        yield "yes"
        return
    yield f"no: {at_risk(number, found)}"
    yield from (slot_words(slot, number, names) for slot in found.slots[:SHOWN])
    if found.at_risk > SHOWN:
        yield f"and {found.at_risk - SHOWN} more"


def standing_json(found: StoreStanding, names: Names) -> dict[str, Any]:
    """Return the answer for a JSON document."""
    return {
        "can_stop": found.can_stop,
        "held": found.held,
        "at_risk": found.at_risk,
        "slots": [
            {
                "slot": slot.slot,
                "epoch": slot.epoch,
                "members": names.all_named(slot.members),
                "answering": names.all_named(slot.answering),
                "leaving": names.all_named(slot.leaving),
            }
            for slot in found.slots
        ],
    }
