"""``p2pnet demo``: the whole story in a minute, on a network of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from chordnet.cli.base.output import console, route_text
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, WholeNumber, network_named, timeout_option
from chordnet.cli.commands.doctor import examine, verdict_lines
from chordnet.cli.commands.lifecycle import ports_text
from chordnet.cli.commands.messages import receipt_text
from chordnet.cli.commands.ring import show, take_model
from chordnet.survey.description import MAX_NODES
from chordnet.survey.errors import EngineUnavailable, TestbedError
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.changes import remove_node
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.lifecycle import (
    DEFAULT_BASE_PORT,
    DEFAULT_NODES,
    Wish,
    start_network,
    stop_network,
)
from chordnet.testbed.base.ports import free_range
from chordnet.wire.rpc import MessageRecord, Receipt

if TYPE_CHECKING:
    from rich.console import Console

NETWORK = "demo"
TIMEOUT_S = 60.0
FRUITS = ("apple", "banana", "cherry")
LAST_FRUIT = "damson"
SHOWN_ROUTES = 4


@attrs.define
class _Story:
    """The demonstration and what it has found out."""

    testbed: Testbed
    out: Console
    timeout: float
    chapters: int = 0

    def chapter(self, text: str) -> None:
        self.chapters += 1
        self.out.print(f"\n[bold cyan]{self.chapters}.[/] [bold]{text}[/]")

    def tell(self, text: str) -> None:
        self.out.print(f"   {text}", markup=False)

    @property
    def names(self) -> Names:
        return Names(self.testbed.description())

    async def start(self, wish: Wish) -> int:
        self.chapter(f"{wish.nodes} nodes start in the same second; none is in a ring yet.")
        try:
            done = await start_network(self.testbed, wish, self.timeout)
        except EngineUnavailable as problem:
            if wish.engine != "auto":
                raise
            # The demonstration should run on any machine, unless an engine was asked for by name.
            self.tell(f"{problem}; going on with processes instead")
            wish = attrs.evolve(wish, engine="local")
            done = await start_network(self.testbed, wish, self.timeout)
        self.tell(
            f"one correct ring of {done.members} after {done.seconds:.1f} s "
            f"({done.network.engine} engine, {ports_text(done.network)})"
        )
        return done.members

    async def send(self, number: int, body: str) -> Receipt:
        receipt = await self.testbed.ask(number, lambda c: c.send_message(body), self.timeout)
        self.tell(f"Node {number} sends {receipt_text(receipt)}")
        return receipt

    async def records(self, number: int) -> list[MessageRecord]:
        return await self.testbed.ask(number, lambda c: c.get_messages(), self.timeout)

    async def show_routes(self, numbers: list[int]) -> None:
        for number in numbers:
            newest = (await self.records(number))[-1]
            self.tell(f"Node {number} has {newest.body} by {route_text(self.names, newest)}")

    async def draw(self) -> None:
        model = await take_model(self.testbed, "last", self.timeout)
        show(model, None)

    async def busiest(self, origin: int) -> tuple[int, list[int]]:
        """Return the node on most routes of the last message, and the nodes behind it."""
        model = await take_model(self.testbed, "last", self.timeout)
        assert model.tree is not None
        behind: dict[int, list[int]] = {}
        for ref, arrival in model.tree.arrivals.items():
            for middle in arrival.route[:-1]:
                if isinstance(middle, int) and isinstance(ref, int) and middle != origin:
                    behind.setdefault(middle, []).append(ref)
        if not behind:
            return next(n for n in self.testbed.description().numbers if n != origin), []
        return max(behind.items(), key=lambda item: len(item[1]))

    async def kill(self, number: int, behind: list[int]) -> None:
        self.chapter(
            f"Node {number} handed the last message on to {len(behind)} others. It is killed."
        )
        say, self.testbed.say = self.testbed.say, _tell_nothing  # of keys, of which there are none
        try:
            done = await remove_node(
                self.testbed, number, kill=True, timeout=self.timeout, wait=False
            )
        finally:
            self.testbed.say = say
        self.tell(
            f"{done.members} nodes are one correct ring again after {done.seconds:.1f} s: "
            "every successor list, every finger"
        )

    async def diagnose(self) -> None:
        self.chapter("The doctor checks the whole ring from outside.")
        found = await examine(self.testbed, wait=True, timeout=self.timeout)
        for line in verdict_lines(found):
            self.tell(line)
        if found.problems:
            raise TestbedError("the demonstration's network is not in order")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet demo
  p2pnet demo --keep
""",
)
@click.option(
    "--nodes",
    type=WholeNumber(4, MAX_NODES),
    default=DEFAULT_NODES,
    show_default=True,
    metavar="N",
    help="How many nodes.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "local"]),
    default="auto",
    show_default=True,
    help="auto: docker where an engine with Compose answers and its image can be built, otherwise "
    "local, which needs no Docker and starts immediately.",
)
@click.option(
    "--base-port",
    type=WholeNumber(1, 65535),
    metavar="PORT",
    help=f"Port of Node 1.  [default: {DEFAULT_BASE_PORT}, or higher if that is taken]",
)
@click.option("--keep", is_flag=True, help="Leave the network up at the end.")
@timeout_option(TIMEOUT_S)
@network_named(NETWORK, "What its network is called; one that exists is left alone.")
def demo(
    nodes: int, engine: str, base_port: int | None, keep: bool, timeout: float, network: str
) -> None:
    """Start a ring, send through it, kill a node, watch the repair, send again, and stop.

    It runs in a network of its own, called demo, and disturbs no other.
    """

    async def work(testbed: Testbed) -> None:
        await _refuse_existing(testbed)
        story = _Story(testbed, console(), timeout)
        wish = Wish(nodes=nodes, base_port=_port(story, base_port, nodes), engine=engine)
        try:
            await _tell(story, wish)
        except BaseException:
            await stop_network(testbed, purge=True, timeout=timeout)
            raise
        await _end(story, network, keep=keep)

    with_testbed(network, work)


async def _refuse_existing(testbed: Testbed) -> None:
    """Refuse to use an existing network, since the demonstration purges its network at the end.

    :raises TestbedError: there is one of this name.
    """
    old = testbed.home.load()
    if old is None:
        return
    if old.name == NETWORK and not await testbed.engine(old.engine).running():
        return  # left by an earlier demonstration that was killed
    raise TestbedError(
        f"there is a network '{old.name}' already; choose another name with --network, "
        f"or end it and remove its data: {testbed.command('stop-network --purge')}"
    )


def _port(story: _Story, wanted: int | None, nodes: int) -> int:
    if wanted is not None:
        return wanted
    found = free_range(DEFAULT_BASE_PORT, nodes, lambda port: story.testbed.taken_by(port) is None)
    if found is None:
        raise TestbedError(f"there are no {nodes} free ports in a row; name some: --base-port")
    if found != DEFAULT_BASE_PORT:
        story.tell(f"ports from {DEFAULT_BASE_PORT} are taken; using those from {found}")
    return found


def _tell_nothing(_line: str) -> None:
    pass


async def _tell(story: _Story, wish: Wish) -> None:
    members = await story.start(wish)
    # Three origins spread over the numbers: a quarter of the way, two thirds, and the last.
    senders = [max(1, members // 4), max(2, 2 * members // 3), members]
    story.chapter("Three of them send a message to every node.")
    for index, body in enumerate(FRUITS):
        await story.send(senders[index], body)
    story.chapter("Every node has recorded the way by which a message came.")
    await story.show_routes(_others(members, senders)[:SHOWN_ROUTES])
    await story.draw()
    victim, behind = await story.busiest(senders[-1])
    await story.kill(victim, behind)
    story.chapter("A message still reaches every node; those behind it get it by another route.")
    await story.send(senders[-1], LAST_FRUIT)
    await story.show_routes(behind[:SHOWN_ROUTES])
    await story.diagnose()


def _others(members: int, senders: list[int]) -> list[int]:
    return [number for number in range(1, members + 1) if number not in senders][
        :: max(1, members // 6)
    ]


async def _end(story: _Story, name: str, *, keep: bool) -> None:
    if keep:
        story.chapter("The network stays up. Go on with, for example:")
        for words in ("status", "ring", "send-message 4 elderberry", "stop-network --purge"):
            command, _, rest = words.partition(" ")
            story.tell(f"p2pnet {command} --network {name}{f' {rest}' if rest else ''}")
        return
    story.chapter("Everything stops, and nothing is left behind.")
    done: Any = await stop_network(story.testbed, purge=True, timeout=story.timeout)
    story.tell(f"{len(done.stopped)} nodes left the ring in order")
