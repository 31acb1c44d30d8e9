"""A message's way in words: the tree, what else happened, what is missing, what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from chordnet.draw.model import Arrival, Overlay, RingModel, RingNode, Tree
from chordnet.draw.phrases import count, plain
from chordnet.survey.journey import Incident, Journey, Leg, Ref, label
from chordnet.survey.report import Report

NAME_CELLS = 34
WORDS = {
    "duplicate": "{node} got it again from {peer}",
    "resent": "{node} sent it to {peer} once more, which had not answered",
    "lost_child": "{node} saw {peer} die, which was to pass it on",
    "repaired": "{node} gave {peer} a range to cover (repair)",
    "gave_up": "{node} gave up on the range of {peer}",
}


# ---- the tree in the terminal -----------------------------------------------------------------


def tree_lines(journey: Journey) -> Iterator[str]:
    """Yield the tree, a line a node, with the kind of its edge and its time."""
    children: dict[Ref | None, list[Leg]] = {}
    for leg in journey.legs.values():
        children.setdefault(leg.parent, []).append(leg)
    drawn: set[Ref] = set()
    # A part whose beginning is lost is shown by itself.
    for root in [journey.legs.get(journey.origin), *journey.legs.values()]:
        if root is not None and root.node not in drawn:
            yield from _branch(journey, root, children, "", "", drawn)


def _branch(
    journey: Journey,
    leg: Leg,
    children: dict[Ref | None, list[Leg]],
    before: str,
    below: str,
    drawn: set[Ref],
) -> Iterator[str]:
    drawn.add(leg.node)
    name = f"{before}{plain(label(leg.node))}"
    time = f"{leg.ms:8.1f} ms" if leg.ms is not None else ""
    gone = "  not in the ring any more" if leg.node in journey.gone else ""
    yield f"{name:<{NAME_CELLS}} {leg.kind:<10}{time}{gone}".rstrip()
    rest = [child for child in children.get(leg.node, []) if child.node not in drawn]
    for index, child in enumerate(rest):
        last = index == len(rest) - 1
        yield from _branch(
            journey,
            child,
            children,
            below + ("└─ " if last else "├─ "),
            below + ("   " if last else "│  "),
            drawn,
        )


def incident_lines(incidents: Sequence[Incident]) -> Iterator[str]:
    """Yield the incidents beside the tree, in order."""
    for incident in incidents:
        text = WORDS.get(incident.what, "{node}: " + incident.what + " {peer}")
        words = text.format(node=label(incident.node), peer=label(incident.peer))
        yield f"{incident.ms:10.1f} ms  {plain(words)}"


def trace_lines(journey: Journey) -> Iterator[str]:
    """Yield everything about a travelled way."""
    times = [leg.ms for leg in journey.legs.values() if leg.ms is not None]
    members = journey.recorded + len(journey.missed)
    yield (
        f"{plain(journey.body)} from {plain(label(journey.origin))}: recorded by "
        f"{journey.recorded} of {count(members, 'node')}, the last after {max(times):.1f} ms; "
        f"depth {journey.depth}"
    )
    yield from tree_lines(journey)
    if journey.incidents:
        yield "beside the tree:"
        yield from incident_lines(journey.incidents)
    for missed in journey.missed:
        edge = (
            f" on the edge {label(missed.edge[0])} -> {label(missed.edge[1])}"
            if missed.edge
            else ""
        )
        yield plain(f"missed: {label(missed.node)}{edge} ({missed.why})")
    yield from _difference_lines(journey)


def _difference_lines(journey: Journey) -> Iterator[str]:
    if not journey.differences:
        yield "the present fingers predict the same tree"
        return
    yield "the present fingers predict otherwise:"
    for found in journey.differences:
        came = f"came from {label(found.travelled)}" if found.travelled is not None else "came"
        would = (
            f"would come from {label(found.predicted)}"
            if found.predicted is not None
            else "would not come by the tree"
        )
        yield plain(f"  to {label(found.node)} it {came}, and {would}")


# ---- JSON -------------------------------------------------------------------------------------


def edges_json(journey: Journey) -> list[dict[str, Any]]:
    """Return the edges of the tree; ``ms`` where it was travelled."""
    return [
        {
            "from": leg.parent,
            "to": leg.node,
            "kind": leg.kind,
            "depth": leg.depth,
            **({} if leg.ms is None else {"ms": round(leg.ms, 3)}),
        }
        for leg in journey.legs.values()
        if leg.parent is not None
    ]


def trace_json(journey: Journey) -> dict[str, Any]:
    """Return a travelled way as its JSON document."""
    return {
        "id": journey.message,
        "body": journey.body,
        "origin": journey.origin,
        "recorded": journey.recorded,
        "members": journey.recorded + len(journey.missed),
        "depth": journey.depth,
        "edges": edges_json(journey),
        "incidents": [
            {"node": i.node, "what": i.what, "peer": i.peer, "ms": round(i.ms, 3)}
            for i in journey.incidents
        ],
        "missed": [
            {
                "node": m.node,
                "edge": list(m.edge) if m.edge else None,
                "cause": m.cause.value,
                "why": m.why,
            }
            for m in journey.missed
        ],
        "differences": [
            {"node": d.node, "travelled": d.travelled, "predicted": d.predicted}
            for d in journey.differences
        ],
        "gone": sorted(journey.gone, key=str),
    }


# ---- the picture ------------------------------------------------------------------------------


def journey_model(model: RingModel, report: Report, journey: Journey, heading: str) -> RingModel:
    """Return the ring's drawing with the way in it, and with nodes on it that are gone."""
    arrivals = {}
    for ref, leg in journey.legs.items():
        note = f"{leg.ms:.1f} ms" if leg.ms is not None else ""
        arrivals[ref] = Arrival(tuple(journey.route(ref)), leg.kind, note)
    overlays = tuple(dict.fromkeys(_overlays(journey)))
    future = not journey.message
    tree = Tree(
        journey.message,
        journey.body,
        arrivals,
        heading,
        overlays,
        absent="would not get it" if future else "did not record it",
        start="sends it" if future else "sent it",
    )
    here = {node.ref for node in model.nodes}
    concerned = {*journey.legs, *(o.start for o in overlays), *(o.end for o in overlays)}
    ghosts = [_ghost(report, ref) for ref in concerned - here if isinstance(ref, int)]
    nodes = sorted([*model.nodes, *ghosts], key=lambda node: node.id)
    return attrs.evolve(model, nodes=tuple(nodes), tree=tree)


def _overlays(journey: Journey) -> Iterator[Overlay]:
    for incident in journey.incidents:
        if incident.what == "duplicate":
            yield Overlay(incident.peer, incident.node, "duplicate")
        elif incident.what in ("lost_child", "gave_up"):
            yield Overlay(incident.node, incident.peer, "lost")
    for missed in journey.missed:
        if missed.edge is not None:
            yield Overlay(*missed.edge, "lost")
    for found in journey.differences:
        if found.predicted is not None:
            yield Overlay(found.predicted, found.node, "predicted")


def _ghost(report: Report, number: int) -> RingNode:
    identifier = report.network.identifier(number)
    turn = identifier / report.network.space.size
    return RingNode(number, identifier, turn, None, (), gone=True)
