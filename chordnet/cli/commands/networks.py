"""``p2pnet networks``: the networks that are kept here."""

from __future__ import annotations

from typing import Any

import click
from rich import box
from rich.table import Table

from chordnet.cli.base.output import console, print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import DEFAULT_NETWORK, Command, json_option
from chordnet.testbed.actions.networks import Known, known_networks


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
        print_json({"networks": [_document(each) for each in found]})
    elif not found:
        print("no network was started here; p2pnet start-network starts one")
    else:
        table = Table("network", "engine", "nodes", "running", "ports", "members", box=box.SIMPLE)
        for each in found:
            table.add_row(*_row(each))
        console().print(table)
        for each in found:
            if each.problem:
                print(f"{each.name}: {each.problem}")


def _row(known: Known) -> tuple[str, ...]:
    network = known.description
    if network is None:
        return (known.name, *[""] * 5)
    ports = f"{network.base_port} to {network.base_port + network.size - 1}"
    running = "" if known.problem else str(len(known.running)) if known.running else "stopped"
    members = "known (TLS)" if network.secured else "anybody"
    return known.name, network.engine, str(network.size), running, ports, members


def _document(known: Known) -> dict[str, Any]:
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
