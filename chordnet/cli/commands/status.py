"""``p2pnet status`` and ``p2pnet networks``: tables of all nodes, and of all networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from chordnet.cli.base.output import console, print_json, refs
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import (
    DEFAULT_NETWORK,
    Command,
    json_option,
    network_option,
    timeout_option,
)
from chordnet.draw.phrases import count, plain
from chordnet.survey.errors import command
from chordnet.survey.findings import in_words
from chordnet.survey.report import Report
from chordnet.survey.store.asking import look_at_store
from chordnet.survey.store.merged import Store
from chordnet.survey.store.shares import Share, share_of
from chordnet.survey.verdict import Names, insecure
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import Known, known_networks, look
from chordnet.wire.rpc import FingerEntry, NodeStatus

if TYPE_CHECKING:
    from rich.table import Table

TIMEOUT_S = 2.0
STATE_STYLES = {"active": "green", "stopped": "dim", "unreachable": "bold red"}
SHORT_ID = 6
LONG_ID = 16
SHORT_LIST = 3
SHORT_FINGERS = 5
COLUMNS = (
    "node",
    "address",
    "state",
    "id",
    "pred",
    "successors",
    "fingers",
    "msgs",
    "keys",
    "uptime",
)
MIN_WIDTHS = {
    "node": 4,
    "address": 7,
    "state": 6,
    "id": 6,
    "pred": 4,
    "msgs": 4,
    "keys": 4,
    "uptime": 6,
}
"""Columns: on a narrow terminal the two lists shrink and nothing else does."""
COLUMNS_OF_SHARES = ("owned", "slots", "of ring")
"""Columns of a wide table: of the keys on its disk those of which the node is the first, slots that
it holds, and its part of the ring."""
RIGHT = frozenset({"node", "pred", "msgs", "keys", "uptime", *COLUMNS_OF_SHARES})
NO_STORE = Store({})


async def take_report(testbed: Testbed, patience: float) -> Report:
    """Ask every node once.

    :param patience: seconds that a node may take to answer.
    """
    network = testbed.description()
    observer = testbed.observer(network, patience)
    try:
        return await look(testbed, observer, network)
    finally:
        observer.close()


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet status
  p2pnet status --json
""",
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def status(timeout: float, as_json: bool, network: str) -> None:
    """Show every node: where it listens, its state, its identifier and its neighbours.

    A node that does not answer within the timeout is shown as unreachable. A wide terminal has room
    for its part of the ring and of the store of keys as well.
    """

    async def work(testbed: Testbed) -> tuple[Report, Store]:
        return await take_report_and_store(testbed, timeout)

    report, store = with_testbed(network, work)
    if as_json:
        print_json(report_json(report, store))
    else:
        print_report(report, store)


async def take_report_and_store(testbed: Testbed, patience: float) -> tuple[Report, Store]:
    """Ask every node once for its state, and once for that of its store."""
    network = testbed.description()
    observer = testbed.observer(network, patience)
    try:
        report = await look(testbed, observer, network)
        guests = report.snapshot.visitors.values()
        return report, await look_at_store(observer, network, report.snapshot.statuses, guests)
    finally:
        observer.close()


def distinct_fingers(names: Names, fingers: list[FingerEntry]) -> list[int | str]:
    """Return the distinct nodes of a finger table, nearest first."""
    return list(dict.fromkeys(refs(names, (finger.node for finger in fingers))))


def report_json(report: Report, store: Store = NO_STORE) -> dict[str, Any]:
    """Return the whole network's state as its JSON document."""
    names = report.names
    visitors = [v for v in report.snapshot.visitors.values() if isinstance(v, NodeStatus)]
    return {
        "network": report.network.name,
        "engine": report.network.engine,
        "nodes": [
            {**_node_json(report, names, number), **share_json(share_of(store, number))}
            for number in report.network.numbers
        ],
        "visitors": [
            {
                "name": v.node.name,
                "address": v.node.address,
                **_seen_json(names, v),
                **share_json(share_of(store, names.ref(v.node.id, v.node.name))),
            }
            for v in visitors
        ],
        "converged": not report.problems,
        "problems": in_words(report.problems),
    }


def _node_json(report: Report, names: Names, number: int) -> dict[str, Any]:
    network = report.network
    status = report.snapshot.statuses.get(number)
    fixed = {
        "node": number,
        "name": network.node_name(number),
        "address": network.address(number),
        "state": report.state(number),
        "id": network.space.hex(network.identifier(number)),
    }
    empty: dict[str, Any] = {
        "predecessor": None,
        "successors": [],
        "fingers": [],
        "messages": 0,
        "keys": 0,
        "reason": "",
        "security": "",
    }
    return fixed | (empty if status is None else _seen_json(names, status))


def _seen_json(names: Names, status: NodeStatus) -> dict[str, Any]:
    before = status.predecessor
    return {
        "state": status.state,
        "id": status.node.id,
        "predecessor": names.ref(before.id, before.name) if before else None,
        "successors": refs(names, status.successors),
        "fingers": distinct_fingers(names, status.fingers),
        "messages": status.messages,
        "keys": status.keys,
        "reason": status.reason,
        "security": status.security,
        "uptime": round(status.uptime, 3),
    }


def share_json(share: Share | None) -> dict[str, Any]:
    """Return what a node has of ring and store, for a JSON document."""
    return {
        "keys_owned": 0 if share is None else share.owned,
        "slots": 0 if share is None else share.slots,
        "ring_share": None if share is None else round(share.ring, 6),
    }


def print_report(report: Report, store: Store = NO_STORE) -> None:
    """Print the table and what is wrong with the ring."""
    out = console()
    out.print(status_table(report, store, short=out.width < 140))
    for status in report.snapshot.statuses.values():
        if status.reason:
            out.print(f"{_called(status.node.name)} is {status.state}: {_called(status.reason)}")
    for fact in insecure(report.snapshot, report.names):
        out.print(f"[yellow]{_called(fact.words())}[/]")
    active = sum(report.state(n) == "active" for n in report.network.numbers)
    active += len(report.snapshot.visitors)
    if report.problems:
        problems = count(len(report.problems), "problem")
        see = command("doctor", report.network.name)
        out.print(f"[bold red]✗[/] {active} nodes active; {problems}; see: {see}")
    else:
        out.print(f"[green]✓[/] {count(active, 'node')} in one correct ring")


def status_table(report: Report, store: Store = NO_STORE, *, short: bool) -> Table:
    """Return the table.

    :param short: shorten addresses, identifiers and lists to fit 80 columns.
    """
    shares = COLUMNS_OF_SHARES if store.formation and not short else ()
    from rich.table import Table  # noqa: PLC0415 - --json needs no table

    names = report.names
    title = f"network '{report.network.name}' ({report.network.engine} engine)"
    gap = 1 if short else 2
    table = Table(title=title, box=None, title_justify="left", padding=(0, gap, 0, 0))
    for name in (*COLUMNS, *shares):
        side: Literal["left", "right"] = "right" if name in RIGHT else "left"
        table.add_column(name, justify=side, no_wrap=True, min_width=MIN_WIDTHS.get(name))
    for number in report.network.numbers:
        own = _shared(share_of(store, number)) if shares else []
        table.add_row(*_row(report, names, number, short=short), *own)
    for visitor in report.snapshot.visitors.values():
        status = visitor if isinstance(visitor, NodeStatus) else None
        node = visitor.node if isinstance(visitor, NodeStatus) else visitor
        state = status.state if status else "unreachable"
        who = _called(names.ref(node.id, node.name))
        table.add_row(
            *_start(who, _called(node.address), state, node.id, short=short),
            *_seen(names, status, short=short),
            *(_shared(share_of(store, names.ref(node.id, node.name))) if shares else []),
        )
    return table


def _row(report: Report, names: Names, number: int, *, short: bool) -> list[str]:
    network = report.network
    address = f":{network.port(number)}" if short else network.address(number)
    identifier = network.space.hex(network.identifier(number))
    start = _start(str(number), address, report.state(number), identifier, short=short)
    return start + _seen(names, report.snapshot.statuses.get(number), short=short)


def _start(who: str, address: str, state: str, identifier: str, *, short: bool) -> list[str]:
    style = STATE_STYLES.get(state, "yellow")
    known = f"[cyan]{identifier[: SHORT_ID if short else LONG_ID]}[/]"
    return [f"[bold]{who}[/]", address, f"[{style}]{state}[/]", known]


def _seen(names: Names, status: NodeStatus | None, *, short: bool) -> list[str]:
    if status is None:
        return [""] * 6
    before = refs(names, [status.predecessor] if status.predecessor else [])
    return [
        _listed(before),
        _listed(refs(names, status.successors), SHORT_LIST if short else None),
        _listed(distinct_fingers(names, status.fingers), SHORT_FINGERS if short else None),
        str(status.messages),
        str(status.keys),
        duration(status.uptime),
    ]


def _shared(share: Share | None) -> list[str]:
    if share is None:
        return [""] * len(COLUMNS_OF_SHARES)
    return [str(share.owned), f"{share.slots}/{share.of}", f"{share.ring:.1%}"]


def _called(node: int | str) -> str:
    """Return what a node is called, without control characters or rich's markup."""
    from rich.markup import escape  # noqa: PLC0415 - --json needs no table

    return escape(plain(str(node)))


def _listed(nodes: list[int | str], most: int | None = None) -> str:
    texts = [_called(node) for node in nodes[:most]]
    return " ".join(texts) + (" …" if most is not None and len(nodes) > most else "")


def duration(seconds: float) -> str:
    """Return ``42s``, ``3m07s`` or ``2h05m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


# ---- all networks ----


@click.command(
    cls=Command,
    epilog="""\b
Example:
  p2pnet networks
""",
)
@json_option
def networks(as_json: bool) -> None:
    """List the networks that were started here, and what runs of them."""
    found = with_testbed(DEFAULT_NETWORK, known_networks)
    if as_json:
        print_json({"networks": [_network_document(each) for each in found]})
    elif not found:
        print("no network was started here; p2pnet start-network starts one")
    else:
        from rich import box  # noqa: PLC0415 - loads slowly
        from rich.table import Table  # noqa: PLC0415 - the same

        table = Table("network", "engine", "nodes", "running", "ports", "members", box=box.SIMPLE)
        for each in found:
            table.add_row(*_network_row(each))
        console().print(table)
        for each in found:
            if each.problem:
                print(f"{each.name}: {each.problem}")


def _network_row(known: Known) -> tuple[str, ...]:
    network = known.description
    if network is None:
        return (known.name, *[""] * 5)
    ports = f"{network.base_port} to {network.base_port + network.size - 1}"
    running = "" if known.problem else str(len(known.running)) if known.running else "stopped"
    members = "known (TLS)" if network.secured else "anybody"
    return known.name, network.engine, str(network.size), running, ports, members


def _network_document(known: Known) -> dict[str, Any]:
    network = known.description
    return {
        "name": known.name,
        "engine": None if network is None else network.engine,
        "nodes": None if network is None else network.size,
        "base_port": None if network is None else network.base_port,
        "secured": None if network is None else network.secured,
        "running": sorted(known.running),
        "problem": known.problem or None,
    }
