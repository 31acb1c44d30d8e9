"""``p2pnet ring``: the ring drawn, in the terminal or as an SVG picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import click

from chordnet.cli.base.output import console, print_json
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    NodeType,
    StoreKeyType,
    json_option,
    network_option,
    timeout_option,
)
from chordnet.draw.keymark import key_mark, mark_json
from chordnet.draw.model import RingModel, message_tree, ring_model
from chordnet.survey.errors import TestbedError, command
from chordnet.survey.report import read_message
from chordnet.survey.store.asking import look_at_store
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look

TIMEOUT_S = 2.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet ring
  p2pnet ring --node 3
  p2pnet ring --message last
  p2pnet ring --message last --svg ring.svg
  p2pnet ring --key config --svg key.svg
""",
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a picture instead; - is standard output.",
)
@click.option(
    "--message", metavar="ID", help="Draw the tree that this message travelled; last: the latest."
)
@click.option(
    "--key", type=StoreKeyType(), metavar="KEY", help="Show this key's slot and who holds it."
)
@click.option(
    "--node", type=NodeType(), metavar="NODE", help="Whose fingers are drawn in the terminal."
)
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII characters alone.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def ring(
    svg: Path | None,
    message: str | None,
    key: str | None,
    node: int | str | None,
    ascii_only: bool,
    timeout: float,
    as_json: bool,
    network: str,
) -> None:
    """Draw the ring with its nodes at their identifiers, their fingers, or a message's tree.

    With --key the slot that the key is in and the nodes that hold it are marked.
    """
    focus = None if node is None else chosen_node(network, node)
    model = with_testbed(network, lambda testbed: take_model(testbed, message, timeout, key))
    if not model.nodes:
        raise TestbedError(f"no node is in a ring yet; see: {command('status', network)}")
    if focus is not None and model.node(focus) is None:
        see = command("status", network)
        raise TestbedError(f"Node {focus} is not in the ring; see: {see}")
    if svg is not None:
        write_svg(model, svg)
        if str(svg) == "-":
            return
    if as_json:
        print_json(model_json(model))
    elif svg is not None:
        print(f"the ring of {len(model.nodes)} nodes is drawn in {svg}")
    else:
        show(model, focus, ascii_only=ascii_only)


def show(model: RingModel, focus: int | None, *, ascii_only: bool = False) -> None:
    """Draw the ring in the terminal."""
    from chordnet.draw.text import print_ring  # noqa: PLC0415 - --svg does without

    out = console()
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    chosen = focus if focus is not None else model.nodes[0].ref
    if focus is None and model.node(1) is not None:
        chosen = 1
    print_ring(out, model, chosen, ascii_only=ascii_only or not encoding.startswith("utf"))


async def take_model(
    testbed: Testbed, message: str | None, patience: float, key: str | None = None
) -> RingModel:
    """Ask the nodes for everything that a drawing shows.

    :param message: the id of the message whose tree is drawn, ``last``, or nothing.
    :param key: a key that is to be marked.
    :raises TestbedError: no node has recorded the message, or no store holds the key.
    """
    network = testbed.description()
    observer = testbed.observer(network, patience)
    try:
        report = await look(testbed, observer, network)
        mark = None
        if key is not None:
            asked, guests = report.snapshot.statuses, report.snapshot.visitors.values()
            seen = await look_at_store(observer, network, asked, guests)
            mark = key_mark(network, seen, key)
            if mark is None:
                raise TestbedError(f"no store holds the key {key}; see: {testbed.command('store')}")
        if message is None:
            return attrs.evolve(ring_model(report), mark=mark)
        records = await read_message(observer, report, message)
        model = ring_model(report, message_tree(report.names, records, message))
        return attrs.evolve(model, mark=mark)
    finally:
        observer.close()


def write_svg(model: RingModel, path: Path) -> None:
    """Draw the model into a file; ``-`` is standard output.

    :raises TestbedError: it cannot be written.
    """
    from chordnet.draw.svg import draw_svg  # noqa: PLC0415 - the terminal does without

    if str(path) == "-":
        # A character that the output's encoding lacks is written as an XML escape.
        print(draw_svg(model).encode("ascii", "xmlcharrefreplace").decode(), end="")
        return
    try:
        path.write_text(draw_svg(model), encoding="utf-8")
    except OSError as problem:
        raise TestbedError(f"cannot write {path}: {problem.strerror}") from problem


def model_json(model: RingModel) -> dict[str, Any]:
    """Return the drawing's contents as a JSON document."""
    document: dict[str, Any] = {
        "network": model.network,
        "bits": model.bits,
        "nodes": [
            {
                "node": node.ref,
                "id": model.hex(node),
                "turn": round(node.turn, 6),
                "successor": node.successor,
                "fingers": [finger.node for finger in node.fingers],
            }
            for node in model.nodes
        ],
    }
    if model.mark is not None:
        document["key"] = mark_json(model.mark)
    if model.tree is not None:
        document["message"] = {
            "id": model.tree.message,
            "body": model.tree.body,
            "depth": model.tree.depth,
            "arrivals": [
                {"node": ref, "route": list(arrival.route), "kind": arrival.kind}
                for ref, arrival in model.tree.arrivals.items()
            ],
        }
    return document
