"""``p2pnet start-network``, ``p2pnet stop-network`` and ``p2pnet restart-network``."""

from __future__ import annotations

from pathlib import Path

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import network_home, with_testbed
from chordnet.cli.base.words import (
    Command,
    WholeNumber,
    json_option,
    network_option,
    no_wait_option,
    timeout_option,
)
from chordnet.draw.phrases import count
from chordnet.survey.description import MAX_NODES, NetworkDescription
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.lifecycle import Started, Stopped, Wish
from chordnet.testbed.actions.lifecycle import start_network as start
from chordnet.testbed.actions.lifecycle import stop_network as stop
from chordnet.testbed.actions.restart import Restarted, restart_all, restart_rolling
from chordnet.testbed.actions.store import Settle

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0


def started_json(done: Started, identity: Path) -> dict[str, object]:
    """Return the outcome of a start as its JSON document.

    :param identity: the directory of the operator's identity, if the network is secured.
    """
    return {
        "network": done.network.name,
        "engine": done.network.engine,
        "nodes": done.network.size,
        "base_port": done.network.base_port,
        "started": list(done.started),
        "members": done.members,
        "seconds": round(done.seconds, 3),
        "record": done.network.record,
        "identity": str(identity) if done.network.secured else None,
    }


def ports_text(network: NetworkDescription) -> str:
    """Return ``ports 7001 to 7016``."""
    first, last = network.base_port, network.port(network.size)
    return f"port {first}" if first == last else f"ports {first} to {last}"


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet start-network
  p2pnet start-network --nodes 5 --engine local --network small --base-port 8001
  p2pnet start-network --record recordings
  p2pnet start-network --nodes 3 --advertise 192.0.2.11
""",
)
@click.option(
    "--nodes",
    type=WholeNumber(1, MAX_NODES),
    metavar="N",
    help="How many nodes.  [default: 16]",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "local"]),
    default="auto",
    show_default=True,
    help="docker: a container a node; local: a twistd process a node; auto: docker where an "
    "engine with Compose answers, otherwise local.",
)
@click.option(
    "--base-port",
    type=WholeNumber(1, 65535),
    metavar="PORT",
    help="Port of Node 1; the others follow.  [default: 7001]",
)
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Every node, later ones too, records its events into this directory, for p2pnet replay; "
    "local engine only.",
)
@click.option(
    "--secure/--insecure",
    "secured",
    default=None,
    help="Secured, every node and every client proves who it is, and what they say is encrypted; "
    "their keys are made here.  [default: secure with docker, and where it was before]",
)
@click.option(
    "--advertise",
    metavar="HOST",
    help="Let other hosts join, which reach this one by this name or address; secured, local "
    "engine only.",
)
@no_wait_option("until the store of keys is in step")
@timeout_option(START_TIMEOUT_S)
@json_option
@network_option
def start_network(
    network: str,
    nodes: int | None,
    engine: str,
    base_port: int | None,
    record: Path | None,
    secured: bool | None,
    advertise: str | None,
    no_wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Start nodes on 127.0.0.1 and return when they are one correct ring.

    Run again, it starts whatever is not running and changes nothing else.
    """
    wish = Wish(
        nodes=nodes,
        base_port=base_port,
        engine=engine,
        record=record,
        secured=secured,
        advertise=advertise,
    )

    async def work(testbed: Testbed) -> Started:
        settle = Settle.NOTHING if no_wait else Settle.IN_STEP
        return await start(testbed, wish, timeout, settle)

    done = with_testbed(network, work)
    identity = network_home(network).operator_directory
    if as_json:
        print_json(started_json(done, identity))
        return
    where = f"({done.network.engine} engine, {ports_text(done.network)})"
    if done.started:
        some = f"{len(done.started)} started; " if len(done.started) < done.network.size else ""
        how = f"{some}{count(done.members, 'node')} in one ring after {done.seconds:.1f} s {where}"
    else:
        how = f"all {count(done.members, 'node')} were running in one ring already {where}"
    print(f"network '{network}': {how}")
    if done.network.secured:
        print(f"secured; its programs use the identity in {identity}")
    if done.network.record is not None:
        print(f"recorded in {done.network.record}; later: p2pnet replay {done.network.record}")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet stop-network
  p2pnet stop-network --purge
""",
)
@click.option("--purge", is_flag=True, help="Remove the nodes' data too.")
@timeout_option(STOP_TIMEOUT_S)
@json_option
@network_option
def stop_network(network: str, purge: bool, timeout: float, as_json: bool) -> None:
    """Stop every node in order and leave nothing running.

    The nodes' data stays for the next start, unless --purge removes it.
    """

    async def work(testbed: Testbed) -> Stopped:
        return await stop(testbed, purge=purge, timeout=timeout)

    done = with_testbed(network, work)
    if as_json:
        print_json(
            {
                "network": network,
                "stopped": list(done.stopped),
                "killed": list(done.killed),
                "purged": purge,
            }
        )
        return
    what = f"{count(len(done.stopped), 'node')} stopped" if done.stopped else "nothing was running"
    late = f", {len(done.killed)} of them killed for taking too long" if done.killed else ""
    gone = (", its data removed" if done.existed else ", and it has no data") if purge else ""
    print(f"network '{network}': {what}{late}{gone}")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet restart-network --rolling
  p2pnet restart-network
""",
)
@click.option(
    "--rolling",
    is_flag=True,
    help="One node after the other, so that every key can be read and written all the time.",
)
@timeout_option(START_TIMEOUT_S)
@json_option
@network_option
def restart_network(rolling: bool, timeout: float, as_json: bool, network: str) -> None:
    """Restart every node with its data, to run new code, say.

    With --rolling each node is stopped only when every key that it holds has a majority without
    it, and the next one only when it is back and up to date; the timeout is that of one node.
    """

    async def work(testbed: Testbed) -> Restarted:
        restart = restart_rolling if rolling else restart_all
        return await restart(testbed, timeout)

    done = with_testbed(network, work)
    if as_json:
        print_json(restarted_json(done, rolling=rolling))
        return
    how = "one after the other" if rolling else "together"
    late = f"; {len(done.killed)} of them killed for taking too long" if done.killed else ""
    print(
        f"network '{network}': {count(len(done.nodes), 'node')} restarted {how}{late}; "
        f"{count(done.members, 'node')} in one ring after {done.seconds:.1f} s"
    )


def restarted_json(done: Restarted, *, rolling: bool) -> dict[str, object]:
    """Return the outcome of a restart as its JSON document."""
    return {
        "network": done.network.name,
        "rolling": rolling,
        "nodes": list(done.nodes),
        "killed": list(done.killed),
        "members": done.members,
        "seconds": round(done.seconds, 3),
    }
