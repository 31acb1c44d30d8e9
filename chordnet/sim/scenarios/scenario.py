"""Scenarios: what happens in a simulated network, as data, and as TOML files.

::

    name = "two-adjacent-deaths"
    about = "Two neighbours die together; the ring closes over them."
    seed = 7
    nodes = 16                       # "Node 1" to "Node 16"
    start = "together"               # how they begin, see START
    rings = [8, 8]                   # for start = "rings": how many nodes in each
    bootstrap = [1, 2]               # nodes that every node may ask; its own number is left out
    within_s = 10.0                  # one right ring this soon after the last fault (virtual time)
    members = 14                     # of so many nodes; left out: of all that still run
    lookups = 32                     # then so many lookups, all of which find the right owner
    most_steps = 9000                # fewer steps than this from beginning to end, lookups included
    publish = true                   # then a broadcast that every node records once
    outsiders = [16]                 # nodes that are not expected in the ring

    [config]                         # settings of ProtocolConfig that differ from the defaults
    successors = 4

    [network]
    latency = "exponential 0.02"     # see chordnet.sim.world.latency
    loss = 0.05
    duplicate = 0.01
    reorder = 0.01
    skew = 0.001                     # clocks run this fraction fast or slow, at random

    [[do]]                           # in the order of their times
    at = 5.0
    kill = "9+1..2"                  # one verb and the nodes concerned, see VERBS

Nodes are named by numbers: ``3``, ``"3 7"``, ``"9..12"``, ``"all"``, and ``"9+1..2"`` for the
members one and two places after Node 9 on the ring of those that run at that moment.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.sim.world import latency

START = ("together", "one by one", "rings", "loopy")
"""``together``: all in the same second, from nothing. ``one by one``: from nothing, each after the
one before has joined, at most two seconds apart. ``rings``: side by side, each right. ``loopy``: in
one cycle that goes round twice.
"""

VERBS: dict[str, str] = {
    "kill": "the processes end; their connections break",
    "vanish": "the machines are gone, and no other node is told",
    "restart": "the processes start again (killed first if they run), with their disks",
    "restart_empty": "the same without their disks",
    "restart_old": "the same with an incarnation below the last one's and no disk",
    "freeze": "the processes stop; what is sent to them waits",
    "thaw": "they go on",
    "leave": "the nodes leave in order",
    "add": "new nodes start, with the scenario's bootstrap peers",
    "partition": 'groups are cut off from one another: ["1..8", "9..16"]',
    "block": 'one way, messages are lost silently: ["1", "2"], from and to',
    "clog": 'one way, messages are held back: ["1", "2"]',
    "slow": 'one way, messages take longer by so many seconds: ["1", "2", 0.2]',
    "lossy": 'one way, this fraction of the messages is lost: ["1", "2", 0.5]',
    "heal": "true: all of partition, block, clog, slow and lossy end",
    "sever": 'the connection of two nodes breaks: ["1", "2"]',
    "loss": "the fraction of all messages that is lost from now on",
    "publish": "the nodes broadcast",
    "lookup": "the nodes look a random key up",
}
FAULTLESS = frozenset({"publish", "lookup"})
"""Verbs that are no faults: the ring may be right while they go on."""

_NODES = re.compile(r"(\d+)(?:\+(\d+))?(?:\.\.(\d+))?$")


class ScenarioError(ConfigError):
    """A scenario cannot be used; the text says what is wrong with it."""


@attrs.frozen
class Action:
    """Something that happens at a time (virtual seconds)."""

    at: float
    verb: str
    value: Any

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.verb} {_toml(self.value)}"


@attrs.frozen(kw_only=True)
class Scenario:
    """A whole scenario; the module's head explains the fields."""

    name: str
    about: str = ""
    seed: int = 1
    nodes: int
    start: str = "together"
    rings: tuple[int, ...] = ()
    bootstrap: tuple[int, ...] = (1, 2)
    within_s: float = 30.0
    members: int | None = None
    lookups: int = 16
    most_steps: int | None = None
    publish: bool = True
    outsiders: tuple[int, ...] = ()
    config: dict[str, Any] = attrs.field(factory=dict)
    latency: str = latency.DEFAULT
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    skew: float = 0.0
    actions: tuple[Action, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.start not in START:
            raise ScenarioError(f"start must be one of {', '.join(START)}, not {self.start!r}")
        if self.nodes < 1:
            raise ScenarioError(f"nodes must be 1 or more, not {self.nodes}")
        if self.start == "rings" and sum(self.rings) != self.nodes:
            raise ScenarioError(f"rings {list(self.rings)} must add up to nodes, {self.nodes}")
        for name in ("loss", "duplicate", "reorder", "skew"):
            if not 0 <= getattr(self, name) < 1:
                raise ScenarioError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        try:
            latency.parse(self.latency)
            self.protocol()
        except (ValueError, TypeError) as error:
            raise ScenarioError(str(error)) from None

    def protocol(self) -> ProtocolConfig:
        """Return the nodes' settings."""
        return ProtocolConfig(**self.config)


def name_of(number: int) -> str:
    """Return the name, and address, of a node."""
    return f"Node {number}"


def selection(text: int | str) -> list[tuple[int, int, int]]:
    """Read which nodes are meant.

    :returns: (number, first, last): with ``first`` 0 the numbers from ``number`` to ``last``,
        otherwise the members ``first`` to ``last`` places after Node ``number`` on the ring.
    :raises ScenarioError: ``text`` cannot be read.
    """
    parts = []
    for word in str(text).split():
        match = _NODES.match(word)
        if match is None:
            raise ScenarioError(f"nodes are numbers as in '3 9..12' or '9+1..2', not {word!r}")
        number, after, last = (int(part) if part else 0 for part in match.groups())
        parts.append((number, after, last or after or number))
    return parts


# ---- as TOML --------------------------------------------------------------------------------

_PLAIN = (
    "name",
    "about",
    "seed",
    "nodes",
    "start",
    "within_s",
    "members",
    "lookups",
    "most_steps",
    "publish",
)
_TUPLES = ("rings", "bootstrap", "outsiders")
_NETWORK = ("latency", "loss", "duplicate", "reorder", "skew")


def loads(text: str) -> Scenario:
    """Read a scenario file.

    :raises ScenarioError: it is not TOML, or has unknown or wrong entries.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"the scenario is not TOML: {error}") from None
    fields: dict[str, Any] = {key: table.pop(key) for key in _PLAIN if key in table}
    fields |= {key: tuple(table.pop(key)) for key in _TUPLES if key in table}
    fields["config"] = table.pop("config", {})
    network = table.pop("network", {})
    fields |= {key: network.pop(key) for key in _NETWORK if key in network}
    fields["actions"] = tuple(_action(entry) for entry in table.pop("do", []))
    for word in (*table, *network):
        raise ScenarioError(f"a scenario has nothing called {word!r}")
    try:
        return Scenario(**fields)
    except TypeError as error:
        raise ScenarioError(f"the scenario lacks something: {error}") from None


def _action(entry: dict[str, Any]) -> Action:
    words = [key for key in entry if key != "at"]
    if "at" not in entry or len(words) != 1 or words[0] not in VERBS:
        raise ScenarioError(f"[[do]] has `at` and one of {', '.join(VERBS)}; not {entry}")
    return Action(float(entry["at"]), words[0], entry[words[0]])


def dumps(scenario: Scenario) -> str:
    """Return a scenario as :func:`loads` reads it; defaults are left out."""
    defaults = {field.name: field.default for field in attrs.fields(Scenario)}
    shown = {
        key: getattr(scenario, key)
        for key in (*_PLAIN, *_TUPLES, *_NETWORK)
        if getattr(scenario, key) != defaults[key]
    }
    lines = [f"{key} = {_toml(shown[key])}" for key in (*_PLAIN, *_TUPLES) if key in shown]
    if scenario.config:
        lines += ["", "[config]"]
        lines += [f"{key} = {_toml(value)}" for key, value in scenario.config.items()]
    network = [f"{key} = {_toml(shown[key])}" for key in _NETWORK if key in shown]
    if network:
        lines += ["", "[network]", *network]
    for action in scenario.actions:
        lines += ["", "[[do]]", f"at = {action.at!r}", f"{action.verb} = {_toml(action.value)}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Numbers, booleans and the strings that occur here are written alike in TOML and JSON.
    return json.dumps(value, ensure_ascii=False)
