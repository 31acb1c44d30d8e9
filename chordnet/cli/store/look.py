"""``p2pnet store``: the store as its nodes see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import click

from chordnet.cli.base.failures import FAILED
from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import json_option, network_option, timeout_option
from chordnet.cli.store.group import StoreGroup
from chordnet.draw.phrases import count, plain
from chordnet.survey.description import NetworkDescription, ranges
from chordnet.survey.findings import called
from chordnet.survey.store.asking import look_at_store
from chordnet.survey.store.merged import Slot, Store, names_of
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look

TIMEOUT_S = 5.0
SHOWN = 10
"""Lines about slots of one kind; the rest is counted."""


async def take_store(testbed: Testbed, patience: float) -> tuple[NetworkDescription, Store]:
    """Ask every node that runs.

    :param patience: seconds that a node may take to answer.
    """
    network = testbed.description()
    observer = testbed.observer(network, patience)
    try:
        report = await look(testbed, observer, network)
        visitors = report.snapshot.visitors.values()
        asked = report.running - report.unwell
        return network, await look_at_store(observer, network, asked, visitors)
    finally:
        observer.close()


@attrs.frozen
class PartSeen:
    """The store as the nodes of one side of a partition have it, without the others."""

    numbers: frozenset[int]
    store: Store


async def take_parts(testbed: Testbed, patience: float) -> list[PartSeen]:
    """Ask the nodes of each side of a partition that was made on purpose; none if there is none."""
    network = testbed.description()
    observer = testbed.observer(network, patience)
    try:
        report = await look(testbed, observer, network)
        return [
            PartSeen(side.numbers, await look_at_store(observer, network, side.numbers))
            for side in report.parted
        ]
    finally:
        observer.close()


def part_lines(parts: Iterable[PartSeen]) -> Iterator[str]:
    """Return what can be used on each side of a partition, in lines for people."""
    for part in parts:
        who = f"{'nodes' if len(part.numbers) > 1 else 'node'} {ranges(part.numbers)}"
        slots, lost = len(part.store.slots), len(part.store.lost)
        yield f"parted from the others, {who}: {slots - lost} of {count(slots, 'slot')} can be used"


@click.group(
    cls=StoreGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    epilog="""\b
Examples:
  p2pnet store
  p2pnet store --json
  p2pnet store can-stop 4
  p2pnet store recover --all
""",
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
@click.pass_context
def store(context: click.Context, timeout: float, as_json: bool, network: str) -> int:
    """Show the store of keys: its slots, the nodes that hold them, and what is not in step.

    The exit status is 1 unless every slot has all its members, up to date. With a COMMAND do that
    instead.
    """
    if context.invoked_subcommand is not None:
        return 0

    async def work(testbed: Testbed) -> tuple[Store, list[PartSeen]]:
        _, seen = await take_store(testbed, timeout)
        return seen, await take_parts(testbed, timeout)

    seen, parts = with_testbed(network, work)
    if as_json:
        print_json(store_json(network, seen, parts))
    else:
        for line in (*store_lines(network, seen), *part_lines(parts)):
            print(plain(line))
    return 0 if seen.in_step and not parts else FAILED


def store_lines(network: str, seen: Store) -> Iterator[str]:
    """Return the state of a store in lines for people."""
    if not seen.formation:
        yield f"network '{network}' has no store of keys"
        if seen.founders:
            yield f"its founders are to be {names_of(seen.founders)}"
    else:
        nodes = count(len(seen.formations[seen.formation]), "node")
        yield (
            f"store {seen.formation[:8]} of network '{network}': {count(seen.keys, 'key')} "
            f"({count(seen.bytes, 'byte')}) in {count(len(seen.slots), 'slot')} on {nodes}, "
            f"{count(seen.replicas, 'replica')}"
        )
        yield f"begun by {names_of(seen.founders)}"
        if seen.deleted:
            yield f"{count(seen.deleted, 'record')} of deleted keys not collected yet"
    lost, moving = seen.lost, seen.moving
    if seen.slots:
        right = len(seen.slots) - len(lost) - len(moving)
        yield f"in step: {right} of {count(len(seen.slots), 'slot')}"
    yield from _some("no majority", lost)
    yield from _some("not in step", moving)
    for formation, refs in seen.formations.items():
        if formation != seen.formation:
            yield f"another store, {formation[:8]}: {names_of(refs)}"
    for what, found in (
        ("does not belong to a store", seen.without),
        ("has a store that has stopped", seen.stopped),
        ("does not say", seen.silent),
    ):
        yield from (f"{called(ref)} {what}: {why}" for ref, why in found.items())


def _some(what: str, slots: list[Slot]) -> Iterator[str]:
    yield from (f"{what}: {slot.words()}" for slot in slots[:SHOWN])
    if len(slots) > SHOWN:
        yield f"{what}: {count(len(slots) - SHOWN, 'slot')} more (all of them: --json)"


def slot_json(slot: Slot) -> dict[str, Any]:
    """Return one slot as plain data."""
    return {
        "slot": slot.number,
        "generation": slot.generation,
        "epoch": slot.epoch,
        "members": list(slot.members),
        "in_step": slot.in_step,
        "majority": slot.has_majority,
        "missing": list(slot.missing),
        "behind": list(slot.behind),
        "vacating": list(slot.vacating),
        "lacking": slot.lacking,
        "keys": slot.keys,
        "bytes": slot.bytes,
        "deleted": slot.deleted,
    }


def store_json(network: str, seen: Store, parts: Iterable[PartSeen] = ()) -> dict[str, Any]:
    """Return the state of a store as its JSON document."""
    return {
        "network": network,
        "in_step": seen.in_step,
        "formation": seen.formation or None,
        "founders": list(seen.founders),
        "replicas": seen.replicas,
        "keys": seen.keys,
        "bytes": seen.bytes,
        "deleted": seen.deleted,
        "slots": [slot_json(slot) for slot in seen.slots],
        "nodes": [
            {
                "node": ref,
                "formation": state.formation or None,
                "reason": state.reason,
                "store": state.store or None,
                "run": state.run,
                "slots": state.seats,
                "keys": state.keys,
                "bytes": state.bytes,
                "deleted": state.deleted,
                "vacating": state.vacating,
                "changing": state.changing,
                "failed": state.failed,
            }
            for ref, state in seen.states.items()
        ],
        "silent": [{"node": ref, "why": why} for ref, why in seen.silent.items()],
        "parts": [
            {
                "nodes": sorted(part.numbers),
                "unavailable": [slot.number for slot in part.store.lost],
            }
            for part in parts
        ],
    }
