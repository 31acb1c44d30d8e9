"""``p2pnet explain`` and ``p2pnet trace``: the way a message would take, and the way it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.cli.commands.ring import write_svg
from chordnet.draw.journey import edges_json, journey_model, trace_json, trace_lines, tree_lines
from chordnet.draw.model import ring_model
from chordnet.draw.phrases import count, plain
from chordnet.judge.explain import Prediction
from chordnet.survey.journey import Journey, follow_back, foretell, label, resolve
from chordnet.survey.report import Report
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look

TIMEOUT_S = 5.0

svg_option = click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it into the ring instead; - is standard output.",
)


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet explain 4
  p2pnet explain 4 --svg tree.svg
""",
)
@node_argument()
@svg_option
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def explain(node: int | str, svg: Path | None, timeout: float, as_json: bool, network: str) -> None:
    """Predict the tree by which a message from NODE would reach every node, from the fingers as
    they are now. Nothing is sent.
    """
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> tuple[Report, Journey, Prediction]:
        described = testbed.checked(number)
        observer = testbed.observer(described, timeout)
        try:
            report = await look(testbed, observer, described)
            return (report, *foretell(report, number))
        finally:
            observer.close()

    report, journey, told = with_testbed(network, work)
    heading = (
        f"a message from {label(number)} would take {count(told.messages, 'message')}, "
        f"depth {told.depth}"
    )
    if svg is not None:
        write_svg(journey_model(ring_model(report), report, journey, heading), svg)
        if str(svg) == "-":
            return
    if as_json:
        print_json(explained_json(number, journey, told))
    elif svg is not None:
        print(f"the predicted tree is drawn in {svg}")
    else:
        print(heading)
        for line in tree_lines(journey):
            print(line)
        for missed in journey.missed:
            print(plain(f"{label(missed.node)} would not get it by the tree: {missed.why}"))


def explained_json(origin: int, journey: Journey, told: Prediction) -> dict[str, Any]:
    """Return a predicted tree as its JSON document."""
    return {
        "origin": origin,
        "members": journey.recorded + len(journey.missed),
        "messages": told.messages,
        "depth": told.depth,
        "edges": edges_json(journey),
        "unreached": [missed.node for missed in journey.missed],
    }


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet trace last
  p2pnet trace 02f16b4a6f938c3d741d1f25b4de06fca0dcaca1.1795345982011.1
  p2pnet trace last --svg way.svg
""",
)
@click.argument("message", metavar="ID")
@svg_option
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def trace(message: str, svg: Path | None, timeout: float, as_json: bool, network: str) -> None:
    """Show the way that a message took: its tree with times, duplicates, repairs, who missed it,
    and how that differs from what the present fingers predict.

    ID is a message's id, enough of its beginning or end, or: last.
    """

    async def work(testbed: Testbed) -> tuple[Report, Journey]:
        described = testbed.description()
        observer = testbed.observer(described, timeout)
        try:
            report = await look(testbed, observer, described)
            whole = await resolve(observer, report, message)
            return report, await follow_back(observer, report, whole)
        finally:
            observer.close()

    report, journey = with_testbed(network, work)
    lines = list(trace_lines(journey))
    if svg is not None:
        write_svg(journey_model(ring_model(report), report, journey, lines[0]), svg)
        if str(svg) == "-":
            return
    if as_json:
        print_json(trace_json(journey))
    elif svg is not None:
        print(f"the way of {plain(journey.body)} is drawn in {svg}")
    else:
        for line in lines:
            print(line)
