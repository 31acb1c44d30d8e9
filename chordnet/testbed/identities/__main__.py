"""Make the identities of a network that Docker Compose starts by itself.

``compose/compose.yaml`` runs this in a container of its own before any node, as
``python -m chordnet.testbed.identities``. It sees the state of every node, and a directory of the
host's that becomes a home: the operator's identity and the authority are there, for ``p2pnet`` and
for programs. It can be run again, and then renews what is older than a day.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chordnet.survey.description import MAX_NODES
from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NETWORK_NAME, NetworkHome
from chordnet.testbed.identities.giving import give_identity, give_tree
from chordnet.testbed.identities.keeping import NetworkIdentities

STATE_DIRECTORY = Path("/var/lib/chordnet")
"""The image's own; who owns it runs the nodes."""


def main(words: Sequence[str], owner: Path = STATE_DIRECTORY) -> int:
    """Make what is missing and give it to the nodes; return the exit status.

    :param owner: a directory of the user that runs the nodes.
    """
    parser = argparse.ArgumentParser(prog="python -m chordnet.testbed.identities")
    parser.add_argument("--home", type=Path, required=True, help="a directory of the host's")
    parser.add_argument("--network", required=True, help="the network's name")
    parser.add_argument("--nodes", type=int, required=True, help="how many nodes it has")
    parser.add_argument("--states", type=Path, required=True, help="node-1, node-2, ... are there")
    given = parser.parse_args(words)
    if not NETWORK_NAME.fullmatch(given.network) or not 1 <= given.nodes <= MAX_NODES:
        parser.error(f"no network can be called {given.network!r} or have {given.nodes} nodes")
    home = NetworkHome(given.home, given.network)
    numbers = range(1, given.nodes + 1)
    try:
        NetworkIdentities(home).provide(numbers)
        for number in numbers:
            state = given.states / f"node-{number}"
            give_identity(home.identity_directory(number), state, owner.stat())
        give_tree(home.root, ["networks", "identities"])
    except (TestbedError, OSError) as problem:
        print(
            f"the identities of network '{given.network}' cannot be made: {problem}",
            file=sys.stderr,
        )
        return 1
    print(f"network '{given.network}': {given.nodes} nodes have identities")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
