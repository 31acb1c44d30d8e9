"""What people decide about a store: ``p2pnet store recover``, ``begin``, ``set-aside`` and
``adopt-copy``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from chordnet.cli.base.failures import FAILED, complain
from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    NodeType,
    WholeNumber,
    json_option,
    network_option,
    timeout_option,
)
from chordnet.core.store.base.configurations import recoveries
from chordnet.core.store.base.founding import MOST_FOUNDERS, MOST_SLOTS
from chordnet.draw.phrases import count, plain
from chordnet.storage.statedir import StateDirectory
from chordnet.storage.store.aside import set_copy_aside
from chordnet.survey.errors import TestbedError
from chordnet.survey.store.merged import names_of
from chordnet.survey.verdict import Names
from chordnet.testbed.actions import operating
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.operating import Aside, Begun, Rescue
from chordnet.wire.stores import SlotRecovery

RECOVER_TIMEOUT_S = 60.0
TIMEOUT_S = 15.0
SHOWN = 10
"""Lines about slots; the rest is counted."""


@click.command(
    "recover",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store recover 63
  p2pnet store recover 63 107 --accept-loss
  p2pnet store recover --all --accept-loss
""",
)
@click.argument("slots", type=WholeNumber(0, MOST_SLOTS - 1), metavar="[SLOT]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All slots that have lost their majority.")
@click.option("--accept-loss", is_flag=True, help="Do it; otherwise only say what would be lost.")
@timeout_option(RECOVER_TIMEOUT_S)
@json_option
@network_option
def recover(
    slots: tuple[int, ...],
    every: bool,
    accept_loss: bool,
    timeout: float,
    as_json: bool,
    network: str,
) -> int:
    """Recover each SLOT that has lost most of its members for good, from what is left of it.

    What the lost members confirmed without those that are left is gone. If they are only stopped or
    cut off, start or connect them instead, and nothing is lost. Without --accept-loss nothing is
    done; what would be lost is shown, and the exit status is 1.
    """
    if bool(slots) == every:
        raise click.UsageError("give the numbers of slots, or --all")

    async def work(testbed: Testbed) -> Rescue:
        return await operating.recover_slots(testbed, slots, timeout, accept_loss=accept_loss)

    done = with_testbed(network, work)
    right = all(each.fate == "recovered" for each in done.recoveries)
    if as_json:
        print_json(rescue_json(network, done))
    else:
        for line in rescue_lines(network, done, every=every):
            print(plain(line))
    return 0 if right else FAILED


def rescue_lines(network: str, done: Rescue, *, every: bool) -> Iterator[str]:
    """Return what came of an order to recover slots, in lines for people."""
    names, found = Names(done.network), done.recoveries
    if not found:
        yield "every slot has its majority; nothing to recover"
        return
    for each in found[:SHOWN]:
        yield f"slot {each.slot} {recovery_words(names, each, time.time())}"
    if len(found) > SHOWN:
        yield f"{count(len(found) - SHOWN, 'slot')} more (all of them: --json)"
    lost = [each for each in found if each.fate == "loses"]
    if lost:
        gone = sorted({name for each in lost for name in each.missing})
        which = "--all" if every else " ".join(str(each.slot) for each in lost[:SHOWN])
        other = "" if network == "default" else f" --network {network}"
        yield (
            f"nothing was done. If {names_of(names.all_named(gone))} can be started or connected"
            " again with their data, do that, and nothing is lost; otherwise: p2pnet store recover"
            f" {which} --accept-loss{other}"
        )


def recovery_words(names: Names, each: SlotRecovery, now: float) -> str:
    """Return what came of the recovery of one slot, in words that follow its number."""
    members = names_of(names.all_named(each.members))
    left = names_of(names.all_named(each.left))
    match each.fate:
        case "has_majority":
            return "has its majority; nothing to recover"
        case "recovered" if not each.left:
            return f"was recovered empty, for nothing was left of it; {members} hold it"
        case "recovered":
            return f"was recovered from what {left} had; held by {members}"
        case "begun":
            return f"is recovered, and {members} have yet to take its state; look again"
        case "nobody":
            return "cannot be recovered: no live node can hold it"
        case "overtaken":
            return "was not recovered in time, or by others; look again"
    if not each.missing:
        gone = "its members cannot take its state, since those before them are gone"
    else:
        gone = f"{names_of(names.all_named(each.missing))} gone"
    if not each.left:
        return f"would lose all its keys: {gone}, and nothing is left of it"
    older = f", from {count(each.behind, 'epoch')} before the last" if each.behind else ""
    written = f", last written {now - each.written:.0f} s ago" if each.written else ""
    return (
        f"would lose what was written without {left}: {gone}; {count(each.keys, 'key')} left"
        f"{older}{written}"
    )


def rescue_json(network: str, done: Rescue) -> dict[str, Any]:
    """Return what came of an order to recover slots as its JSON document."""
    names = Names(done.network)
    return {
        "network": network,
        "coordinator": done.coordinator,
        "slots": [
            {
                "slot": each.slot,
                "fate": each.fate,
                "generation": each.generation,
                "recoveries": recoveries(each.generation),
                "epoch": each.epoch,
                "members": names.all_named(each.members),
                "missing": names.all_named(each.missing),
                "left": names.all_named(each.left),
                "behind": each.behind,
                "keys": each.keys,
                "written": each.written or None,
            }
            for each in done.recoveries
        ],
    }


@click.command(
    "begin",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store begin
  p2pnet store begin 1 2 3
""",
)
@click.argument("nodes", type=NodeType(), metavar="[NODE]...", nargs=-1)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def begin(nodes: Sequence[int | str], timeout: float, as_json: bool, network: str) -> None:
    """Begin a store of keys at a ring that has none, with each NODE as a founder.

    Without any the first three nodes that run are its founders. It stays begun: the nodes keep on
    their disks which store they belong to.
    """
    if len(set(nodes)) > MOST_FOUNDERS:
        raise click.UsageError(f"a store has at most {MOST_FOUNDERS} founders")
    numbers = [chosen_node(network, node) for node in nodes]

    async def work(testbed: Testbed) -> Begun:
        return await operating.begin_store(testbed, numbers, timeout)

    done = with_testbed(network, work)
    if as_json:
        print_json(begun_json(network, done))
    else:
        print(plain(f"store {done.formation[:8]} has begun, by {names_of(done.founders)}"))


def begun_json(network: str, done: Begun) -> dict[str, Any]:
    """Return the store that has begun as the JSON document of the command."""
    return {
        "network": network,
        "formation": done.formation,
        "founders": list(done.founders),
    }


@click.command(
    "set-aside",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store set-aside 3f9c12d0
""",
)
@click.argument("formation", metavar="ID")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def set_aside(formation: str, timeout: float, as_json: bool, network: str) -> int:
    """Set the store ID aside, of two that have met: its nodes join the other one.

    Its data is kept untouched in each node's state directory, and it is said where. ID is the first
    digits, four or more, of what 'p2pnet store' shows.
    """
    if len(formation) < 4 or set(formation.lower()) - set("0123456789abcdef"):
        raise click.UsageError(f"ID is at least four hexadecimal digits, not '{formation}'")

    async def work(testbed: Testbed) -> Aside:
        return await operating.set_store_aside(testbed, formation, timeout)

    done = with_testbed(network, work)
    if as_json:
        print_json(aside_json(network, done))
    else:
        for ref, place in done.where.items():
            print(plain(f"{names_of([ref])}: its store is set aside: {place}"))
        for ref, why in done.refused.items():
            print(plain(f"{names_of([ref])} still has it: {why}"))
    return FAILED if done.refused else 0


def aside_json(network: str, done: Aside) -> dict[str, Any]:
    """Return which stores were set aside as the JSON document of the command."""
    return {
        "network": network,
        "formation": done.formation,
        "nodes": [{"node": ref, "where": where} for ref, where in done.where.items()],
        "refused": [{"node": ref, "why": why} for ref, why in done.refused.items()],
    }


@click.command(
    "adopt-copy",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store adopt-copy 4
  p2pnet store adopt-copy --state-dir /var/lib/chordnode
""",
)
@click.argument("node", type=NodeType(), metavar="[NODE]", required=False)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The state directory of a stopped node, instead of NODE.",
)
@json_option
@network_option
def adopt_copy(node: int | str | None, state_dir: Path | None, as_json: bool, network: str) -> None:
    """Make a stopped NODE, whose disk is a copy or an old backup, another member of the store.

    A copy has forgotten what the disk promised since, so it must not speak for it. The node begins
    with an empty store under a new number, and the others give it what it is to hold. The copy is
    kept beside it.
    """
    if (node is None) == (state_dir is None):
        raise click.UsageError("give NODE, or --state-dir")
    if node is not None:
        number = chosen_node(network, node)

        async def work(testbed: Testbed) -> Path:
            return await operating.state_of_stopped(testbed, number)

        state_dir = with_testbed(network, work)
    assert state_dir is not None
    where = adopted(state_dir)
    if as_json:
        print_json(copy_json(network, node, where))
    else:
        print(plain(f"the copy is kept in {where}; the node begins with an empty store"))


def copy_json(network: str, node: int | str | None, where: Path) -> dict[str, Any]:
    """Return where the copy is as the JSON document of the command."""
    return {"network": network, "node": node, "copy": str(where)}


def adopted(directory: Path) -> Path:
    """Set the store in a state directory aside, as a copy; return where it is.

    :raises TestbedError: there is none.
    :raises ConfigError: a node uses the directory, or it cannot be used.
    :raises StoreFailed: it cannot be moved.
    """
    if not directory.is_dir():
        raise TestbedError(f"there is no directory {directory}")
    state = StateDirectory(directory, complain)
    try:
        where = set_copy_aside(directory)
    finally:
        state.close()
    if where is None:
        raise TestbedError(f"there is no store in {directory}")
    return where
