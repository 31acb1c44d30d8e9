"""Which nodes a network has: the typed description that is kept between commands."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import attrs
import msgspec

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.naming import format_address, parse_address
from chordnet.survey.errors import TestbedError

HOST = "127.0.0.1"
MAX_NODES = 256
"""The most processes that one machine should be asked for."""
MAX_PORT = 65535
MIN_BITS, MAX_BITS = 3, 256
"""What :class:`chordnet.core.base.identifiers.IdentifierSpace` takes."""
ENGINES = ("local", "docker")
FORMAT = 1


@attrs.frozen(kw_only=True)
class NetworkDescription:
    """The nodes 1 to ``size`` of a network and where they listen.

    Node ``i`` is called "Node i", its identifier is the hash of that name, and it listens on
    port ``base_port + i - 1``.
    """

    name: str
    engine: str
    """``local`` or ``docker``."""
    size: int
    base_port: int
    removed: frozenset[int] = frozenset()
    """Nodes that were removed on purpose; the others are meant to run."""
    stopped: bool = False
    """Whether it was stopped in order, rather than losing its nodes."""
    bits: int = 160
    successors: int = 8
    """r, the length of a successor list."""
    code: str = ""
    """The digest of the code that its nodes were started with; empty if it is not known."""
    record: str | None = None
    """The directory in which its nodes record their events; None: they do not."""
    secured: bool = False
    """Whether its nodes and clients prove who they are, by identities of the network's own."""
    advertise: str | None = None
    """The name or address of this machine by which other hosts reach its nodes; None: none do."""

    @property
    def numbers(self) -> range:
        """Every node's number."""
        return range(1, self.size + 1)

    @property
    def space(self) -> IdentifierSpace:
        """The identifiers of this network."""
        return IdentifierSpace(self.bits)

    def node_name(self, number: int) -> str:
        """Return the name that a node is known by."""
        return node_name(number)

    def port(self, number: int) -> int:
        """Return the port on 127.0.0.1 that leads to a node."""
        return self.base_port + number - 1

    def address(self, number: int) -> str:
        """Return the ``host:port`` that leads to a node from this machine."""
        return f"{HOST}:{self.port(number)}"

    def identifier(self, number: int) -> int:
        """Return a node's identifier."""
        return self.space.hash(self.node_name(number).encode())

    def peers(self, number: int) -> tuple[int, ...]:
        """Return the bootstrap peers of a node, at most two."""
        first_three = [n for n in (1, 2, 3) if n <= self.size and n != number]
        return tuple(first_three[:2])

    @property
    def founders(self) -> tuple[str, ...]:
        """The names of the nodes that begin the store."""
        return tuple(self.node_name(n) for n in (1, 2, 3) if n <= self.size)

    def recording(self, number: int) -> str | None:
        """Return the file in which a node records its events, if it does."""
        return self.record and str(Path(self.record, f"node-{number:02}.rec"))

    def with_removed(self, *numbers: int) -> NetworkDescription:
        """Return this network with those nodes marked as removed."""
        return attrs.evolve(self, removed=self.removed | set(numbers))

    def with_wanted(self, *numbers: int) -> NetworkDescription:
        """Return this network with those nodes meant to run, grown where they are new."""
        return attrs.evolve(
            self, removed=self.removed - set(numbers), size=max(self.size, *numbers)
        )

    def to_json(self) -> str:
        """Write the description down."""
        fields = attrs.asdict(self) | {"format": FORMAT, "removed": sorted(self.removed)}
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> NetworkDescription:
        """Read what :meth:`to_json` wrote.

        :raises TestbedError: it is something else; the text says so.
        """
        try:
            fields = msgspec.json.decode(text, type=dict[str, object])
            if fields.get("format") != FORMAT:
                raise TestbedError("another version has written it")
            network = msgspec.convert(fields, cls)
        except msgspec.DecodeError as problem:
            raise TestbedError(f"it describes no network ({problem})") from problem
        if absurd := network.absurdity():
            raise TestbedError(f"it describes no network that can be ({absurd})")
        return network

    def absurdity(self) -> str:
        """Return what is impossible about this network in words; empty if nothing is."""
        last = self.base_port + self.size - 1
        checks = (
            (self.engine in ENGINES, f"engine '{self.engine[:40]}'"),
            (1 <= self.size <= MAX_NODES, f"{self.size} nodes"),
            (1 <= self.base_port <= last <= MAX_PORT, f"ports {self.base_port} to {last}"),
            (MIN_BITS <= self.bits <= MAX_BITS, f"identifiers of {self.bits} bits"),
            (
                self.advertise is None or usable_host(self.advertise),
                f"the address '{(self.advertise or '')[:40]}'",
            ),
            (1 <= self.successors <= MAX_NODES, f"{self.successors} successors"),
            (
                all(1 <= n <= MAX_NODES for n in self.removed),
                f"removed nodes {sorted(self.removed)[:5]}",
            ),
        )
        return ", ".join(text for possible, text in checks if not possible)


def node_name(number: int) -> str:
    """Return the name that a node of a network here is known by."""
    return f"Node {number}"


def usable_host(text: str) -> bool:
    """Return True if other hosts could reach this machine by ``text``: a name or an address."""
    try:
        host, _port = parse_address(format_address(text, 1))
    except ConfigError:
        return False
    return host == text and text not in ("localhost", "::") and not text.startswith(("127.", "0."))


def ranges(numbers: Collection[int]) -> str:
    """Return ``1-8, 11``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
