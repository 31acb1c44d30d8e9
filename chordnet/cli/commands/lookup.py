"""``p2pnet lookup``: the owner of a key, and how a node finds it."""

from __future__ import annotations

import click

from chordnet.cli.base.output import print_json, refs
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    KeyType,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.draw.phrases import plain
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.rpc import LookupResult

TIMEOUT_S = 15.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet lookup 3 apple
  p2pnet lookup 3 apple --iterative
""",
)
@node_argument()
@click.argument("key", type=KeyType(), metavar="KEY")
@click.option("--iterative", is_flag=True, help="Let NODE ask every node on the way itself.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def lookup(
    node: int | str, key: str, iterative: bool, timeout: float, as_json: bool, network: str
) -> None:
    """Ask NODE for the owner of KEY and show the path that the question took."""
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> tuple[LookupResult, Names]:
        names = Names(testbed.checked(number))
        return await testbed.ask(number, lambda c: c.lookup(key, iterative), timeout), names

    result, names = with_testbed(network, work)
    if as_json:
        print_json(
            {
                "key": result.key,
                "id": result.id,
                "owner": names.ref(result.owner.id, result.owner.name),
                "path": refs(names, result.path),
            }
        )
    else:
        print(lookup_text(names, result))


def lookup_text(names: Names, result: LookupResult) -> str:
    """Return ``apple belongs to Node 7 (Node 3 -> Node 12 -> Node 7)``."""
    path = " -> ".join(names.label(node.id, node.name) for node in result.path)
    owner = names.label(result.owner.id, result.owner.name)
    return plain(f"{result.key} belongs to {owner} ({path})")
