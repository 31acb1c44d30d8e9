"""``p2pnet logs``: what a node wrote."""

from __future__ import annotations

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import Command, WholeNumber, json_option, network_option, node_argument
from chordnet.draw.phrases import plain
from chordnet.testbed.actions.context import Testbed

LINES = 50
MAX_LINES = 100_000


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet logs 9
  p2pnet logs 9 --follow
""",
)
@node_argument()
@click.option("--follow", is_flag=True, help="Go on with every line that comes, until Ctrl-C.")
@click.option(
    "--lines",
    type=WholeNumber(0, MAX_LINES),
    default=LINES,
    show_default=True,
    metavar="N",
    help="The last N lines.",
)
@json_option
@network_option
def logs(node: int | str, follow: bool, lines: int, as_json: bool, network: str) -> None:
    """Print the last lines of NODE's log, also those of a node that has stopped."""
    number = chosen_node(network, node)
    if follow and as_json:
        raise click.UsageError("--follow and --json exclude each other")

    def show(line: str) -> None:
        print(plain(line), flush=True)

    async def work(testbed: Testbed) -> list[str]:
        engine = testbed.engine(testbed.checked(number).engine)
        if follow:
            await engine.follow(number, lines, show)
            return []
        return await engine.tail(number, lines)

    found = with_testbed(network, work)
    if as_json:
        print_json({"node": number, "lines": found})
    else:
        for line in found:
            show(line)
