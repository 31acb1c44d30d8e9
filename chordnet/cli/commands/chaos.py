"""``p2pnet chaos``: break the running network on purpose, and mend it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.survey.description import MAX_NODES, NetworkDescription, ranges
from chordnet.survey.errors import NoSuchNode, command
from chordnet.survey.findings import in_words
from chordnet.testbed.actions import chaos as verbs
from chordnet.testbed.actions.chaos import Acted, Change, Part
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.base.faults import Faults

TIMEOUT_S = 30.0
VERBS = ("kill", "freeze", "thaw", "partition", "heal", "delay", "loss")
NEED_NODES = frozenset({"kill", "freeze", "partition", "delay", "loss"})
SHOWN = 2
"""Problems of one ring that are shown in its line."""
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@attrs.frozen
class Order:
    """What was typed."""

    verb: str
    groups: tuple[frozenset[int], ...]
    """The nodes of each word."""
    delay_ms: float
    jitter_ms: float
    loss_percent: float

    @property
    def nodes(self) -> frozenset[int]:
        """Every node that was named."""
        return frozenset[int]().union(*self.groups)

    def change(self, old: Faults, network: NetworkDescription) -> Faults:
        """Return the faults that this order asks for.

        :raises NoSuchNode: the network has no such node.
        :raises WrongFault: the order makes no sense.
        """
        for number in sorted(self.nodes):
            if number not in network.numbers:
                raise NoSuchNode(number, network.size)
        return self._change(old, network)

    @property
    def _change(self) -> Change:
        nodes = self.nodes
        changes: dict[str, Change] = {
            "kill": verbs.kill(nodes),
            "freeze": verbs.freeze(nodes),
            "thaw": verbs.thaw(nodes),
            "partition": lambda old, network: old.with_partition(self.groups, network.numbers),
            "heal": verbs.heal,
            "delay": lambda old, _: old.with_delay(nodes, self.delay_ms, self.jitter_ms),
            "loss": lambda old, _: old.with_loss(nodes, self.loss_percent),
        }
        return changes[self.verb]


def node_group(word: str) -> frozenset[int]:
    """Return the numbers in ``1-8`` or ``3,5,9-11``.

    :raises UsageError: it is something else.
    """
    wrong = click.UsageError(f"nodes are named like 3, 1-8 or 3,5,9-11, not '{word}'")
    numbers: set[int] = set()
    for text in word.split(","):
        match = _RANGE.fullmatch(text)
        if match is None:
            raise wrong
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= MAX_NODES:
            raise wrong
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


@click.command(
    cls=Command,
    epilog="""\b
Verbs:
  kill NODES                end nodes without a word (heal brings them back)
  freeze NODES, thaw NODES  stop nodes in the middle of what they do, and let them go on
  partition NODES...        split the network; nodes that are not named form another side
  delay NODES --ms N        slow down what nodes send (--ms 0 ends it)
  loss NODES --percent N    lose some of what nodes send (--percent 0 ends it)
  heal                      undo everything

\b
Examples:
  p2pnet chaos freeze 3
  p2pnet chaos partition 1-8
  p2pnet chaos delay 2,5-7 --ms 80 --jitter 20
  p2pnet chaos heal
""",
)
@click.argument("verb", type=click.Choice(VERBS), metavar="VERB")
@click.argument("nodes", nargs=-1, metavar="[NODES]...")
@click.option("--ms", type=float, metavar="N", help="Delay in milliseconds.")
@click.option("--jitter", type=float, default=0.0, metavar="N", help="How far the delay varies.")
@click.option("--percent", type=float, metavar="N", help="Loss in percent.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def chaos(
    verb: str,
    nodes: Sequence[str],
    ms: float | None,
    jitter: float,
    percent: float | None,
    timeout: float,
    as_json: bool,
    network: str,
) -> int:
    """Break the running network on purpose, or mend it, and say how the ring takes it.

    Returns when all nodes that can reach each other are one right ring, each side of a partition by
    itself, or when the time is up. Partition, delay and loss need the docker engine. What is in
    force stays so until it is undone or the network is stopped.
    """
    order = _order(verb, nodes, ms, jitter, percent)

    async def work(testbed: Testbed) -> Acted:
        return await verbs.act(testbed, order.change, timeout)

    outcome = with_testbed(network, work)
    if as_json:
        print_json(outcome_json(network, order, outcome))
    else:
        print("\n".join(map(plain, outcome_lines(outcome, network))))
    return 1 if verb == "heal" and not outcome.right else 0


def _order(
    verb: str, nodes: Sequence[str], ms: float | None, jitter: float, percent: float | None
) -> Order:
    if verb in NEED_NODES and not nodes:
        raise click.UsageError(f"{verb} needs nodes, such as: p2pnet chaos {verb} 3")
    if verb == "heal" and nodes:
        raise click.UsageError("heal undoes everything and takes no nodes")
    if (verb == "delay") != (ms is not None) or (jitter and ms is None):
        raise click.UsageError("delay, and nothing else, takes --ms N (and --jitter N)")
    if (verb == "loss") != (percent is not None):
        raise click.UsageError("loss, and nothing else, takes --percent N")
    groups = tuple(node_group(word) for word in nodes)
    return Order(verb, groups, ms or 0.0, jitter, percent or 0.0)


def part_text(part: Part) -> str:
    """Return the state of a ring in a few words."""
    who = f"{'nodes' if len(part.nodes) > 1 else 'node'} {ranges(part.nodes)}"
    if not part.problems:
        return f"{who}: one right ring, {count(part.messages, 'message')} on every node"
    first = "; ".join(in_words(part.problems[:SHOWN]))
    more = f"; and {len(part.problems) - SHOWN} more" if len(part.problems) > SHOWN else ""
    return f"{who}: {count(len(part.problems), 'problem')}: {first}{more}"


def outcome_lines(outcome: Acted, network: str) -> list[str]:
    """Return one line about the ring before, one about it after, and one about what is in force."""
    before, after = (
        " | ".join(map(part_text, parts)) or "no node can be asked"
        for parts in (outcome.before, outcome.after)
    )
    lines = [f"before: {before}", f"after {outcome.seconds:.1f} s: {after}"]
    if outcome.faults.texts:
        # If no node runs there is nothing to heal: the network starts again as it was.
        nothing_runs = not outcome.after and not outcome.faults.frozen
        undo = command("start-network" if nothing_runs else "chaos heal", network)
        lines.append(f"in force: {'; '.join(outcome.faults.texts)} (undo it: {undo})")
    return lines


def outcome_json(network: str, order: Order, outcome: Acted) -> dict[str, Any]:
    """Return the outcome of a verb as its JSON document."""
    return {
        "network": network,
        "verb": order.verb,
        "nodes": sorted(order.nodes),
        "ok": outcome.right,
        "seconds": round(outcome.seconds, 3),
        "before": [_part_json(part) for part in outcome.before],
        "after": [_part_json(part) for part in outcome.after],
        "in_force": outcome.faults.document(),
    }


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "nodes": list(part.nodes),
        "ok": not part.problems,
        "messages": part.messages,
        "problems": in_words(part.problems),
    }
