"""What can go wrong with a network of nodes; each text is one line and says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from chordnet.core.base.errors import ChordnetError


class TestbedError(ChordnetError):
    """Something could not be done with the network.

    :param details: further lines to show below the text, such as a node's last log lines.
    """

    __test__ = False  # no test case, despite its name
    wrong_words = False
    """Whether the command's arguments are wrong."""

    def __init__(self, text: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.details = details


class NetworkNotRunning(TestbedError):
    """No node of the network runs.

    :param elsewhere: what to say instead of how to start it.
    """

    def __init__(self, network: str, elsewhere: str = "") -> None:
        start = f"start it with: {command('start-network', network)}"
        where = " here" if elsewhere else ""
        super().__init__(f"network '{network}' is not running{where}; {elsewhere or start}")


class CannotWrite(TestbedError):
    """Something in the home directory cannot be written.

    :param path: what was to be written.
    :param what: the sentence that says what failed instead.
    """

    def __init__(self, path: Path, problem: OSError, what: str = "") -> None:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room there" if full else "let this user write there"
        super().__init__(
            f"{what or f'cannot write {path}'}: {problem.strerror or problem}; {remedy}, "
            "or name another directory for networks with CHORDNET_HOME"
        )


class UnreadableNetwork(TestbedError):
    """The description of the network cannot be read, or describes no network.

    :param why: says so, and names the file.
    """

    def __init__(self, network: str, why: str) -> None:
        super().__init__(f"{why}; to stop its nodes without it: {command('stop-network', network)}")
        self.why = why


class NodeStopped(TestbedError):
    """The node does not run."""


class NodeSilent(TestbedError):
    """The node runs and does not answer."""


class NoSuchNode(TestbedError):
    """The number is not one of the network's nodes."""

    wrong_words = True

    def __init__(self, number: object, size: int) -> None:
        super().__init__(f"NODE must be a number from 1 to {size}, not {number}")


class ImpossibleNetwork(TestbedError):
    """A network with these settings is impossible."""

    wrong_words = True


class NotConverged(TestbedError):
    """The nodes did not become one correct ring in time."""


class EngineUnavailable(TestbedError):
    """The engine cannot be used here."""


class ImageNotBuilt(EngineUnavailable):
    """The docker engine has no image to make containers from; nothing was started or changed."""


class TookTooLong(TestbedError):
    """A program did not end in time, and was killed."""


class OtherHome(TestbedError):
    """The containers or data belong to another home.

    :param home: that home's directory.
    :param what: ``containers`` or ``data``.
    """

    def __init__(self, network: str, home: str, what: str) -> None:
        stop = command("stop-network --purge" if what == "data" else "stop-network", network)
        super().__init__(
            f"the {what} of network '{network}' in Docker belong to another home, {home}; choose "
            f"another name with --network, or end that network: CHORDNET_HOME={home} {stop}"
        )
        self.home = home


def command(words: str, network: str) -> str:
    """Return a ``p2pnet`` command for people to type; it names the network if necessary."""
    return f"p2pnet {words}" if network == "default" else f"p2pnet {words} --network {network}"
