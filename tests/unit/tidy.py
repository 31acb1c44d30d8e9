"""What ``test_architecture`` checks, as plain functions from source text to complaints.

An arrow is one room of the package importing another.  Imports are read with :mod:`ast`, wherever
they stand (in a function or under ``TYPE_CHECKING`` too), so nothing has to be importable.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chordnet"

# Which folders a folder may import, in an order in which each names only earlier ones. A module
# directly under chordnet/ counts as a folder, and so do the modules directly in a room.
# fmt: off
_ARROWS = {
    "net": "",
    "testbed": "",
    "core.base": "",
    "core.kernel": "core.base",
    "core.ring": "core.base core.kernel",
    "core.lookup": "core.base core.kernel core.ring",
    "core.fingers": "core.base core.kernel core.lookup core.ring",
    "core.join": "core.base core.kernel core.lookup core.ring",
    "core.seals": "core.base core.kernel",
    "core.log": "core.base core.kernel core.ring core.seals",
    "core.store.base": "core.base",
    "core.store.slot": "core.store.base",
    "core.store.begin": "core.base core.store.base",
    "core.store.look": "core.store.base",
    "core.store.upkeep": "core.store.base core.store.slot",
    "core.store.watch": "core.store.base",
    "core.store.node": "core.base core.kernel core.store.base core.store.begin "
    "core.store.look core.store.slot core.store.upkeep core.store.watch",
    "core.store": "",
    "core.broadcast": "core.base core.kernel core.log core.lookup core.ring "
    "core.seals",
    "core": "core.base core.broadcast core.fingers core.join core.kernel "
    "core.log core.lookup core.ring core.seals",
    "judge": "core.base",
    "judge.store": "core.base",
    "record": "core core.base core.seals",
    "wire.trust": "",
    "wire": "core.base wire.trust",
    "trust.base": "core.base",
    "trust": "core.base core.seals trust.base",
    "storage.base": "core.base",
    "storage.log": "core.base core.log storage.base",
    "storage.store": "core.base core.store.base storage.base",
    "storage": "core.base storage.base storage.log",
    "net.tls": "trust trust.base",
    "net.base": "core.base core.log core.store.base net.tls wire",
    "net.streams": "net.base net.tls trust.base",
    "net.observe": "core.base core.log net.base wire",
    "net.store": "core.base core.store.base core.store.begin core.store.look "
    "core.store.node net.base wire",
    "kinds": "core.base net.base",
    "healthcheck": "",
    "home": "core.base storage.base",
    "recipes": "core.base wire",
    "sim.world": "core core.base core.seals judge",
    "sim.scenarios": "core.base core.kernel judge sim.world",
    "sim.search": "core core.base core.kernel core.lookup",
    "sim.generations": "core.base core.store.base core.store.slot",
    "sim.slots": "core.base core.store.base core.store.slot sim.search",
    "sim.store": "core.base core.store.base core.store.begin core.store.node "
    "core.store.upkeep judge.store sim.world",
    "sim.store.scenarios": "core.store.base sim.store",
    "sim.campaign": "core core.base core.seals sim.world",
    "sim.measured": "core.base sim.scenarios sim.world",
    "sim": "core.base sim.campaign sim.scenarios sim.world",
    "survey": "core.base judge wire wire.trust",
    "survey.store": "core.base core.store.base survey wire",
    "survey.trust": "survey wire wire.trust",
    "draw": "core.base survey survey.store wire",
    "testbed.base": "core.base home survey",
    "testbed.identities": "core.base survey testbed.base trust trust.base",
    "testbed.engines": "core.base home survey testbed.base testbed.identities",
    "testbed.actions": "core.base home survey survey.store testbed.base "
    "testbed.engines testbed.identities wire",
    "testbed.membership": "core.base survey survey.trust testbed.actions trust "
    "trust.base wire.trust",
    "net.guard": "core.base net.base",
    "net.links": "core.base net.base net.guard net.streams net.tls trust "
    "trust.base wire wire.trust",
    "net.enrol": "core.base net.base net.links net.streams net.tls trust "
    "trust.base wire wire.trust",
    "net.serve": "core.base core.log net.base net.links net.observe trust.base "
    "wire wire.trust",
    "net.runtime": "core.base core.seals core.store.base core.store.begin "
    "net.base net.enrol net.links net.observe net.serve net.store net.tls record "
    "storage storage.base storage.log storage.store trust.base wire wire.trust",
    "net.handles": "core.base net.base net.runtime net.store wire",
    "settings": "core.base core.store.base core.store.begin kinds net.base "
    "net.runtime storage.base storage.log trust",
    "sources": "core.base settings",
    "seams": "core core.base core.seals home net.base net.observe net.runtime "
    "net.store net.tls settings storage.log trust wire",
    "web": "core.base net.base net.runtime net.store wire",
    "service": "core.base net.base net.handles net.links net.observe "
    "net.runtime net.serve net.tls seams settings web wire",
    "client": "core.base home judge.store net.base net.handles net.links "
    "net.tls trust trust.base wire wire.trust",
    "server": "service",
    "tap": "core.base home kinds net.enrol net.links service settings sources "
    "testbed.identities",
    "testing": "core.base core.log net.base service",
    "cli.base": "client core.base draw survey testbed.actions testbed.base "
    "testbed.engines testbed.identities trust wire",
    "cli.commands": "cli.base draw judge survey survey.store survey.trust "
    "testbed.actions testbed.base wire",
    "cli.trust": "cli.base core.base draw net.enrol survey survey.trust "
    "testbed.actions testbed.base testbed.membership trust wire.trust",
    "cli.store": "cli.base core.base core.store.base draw storage "
    "storage.store survey survey.store testbed.actions wire",
    "cli.lab": "cli.base core.base draw judge.store record sim.measured "
    "sim.slots sim.store sim.store.scenarios sim.world",
    "cli": "cli.base",
}
# fmt: on
ARROWS = {folder: frozenset(targets.split()) for folder, targets in _ARROWS.items()}

# What the pure rooms may use of the world outside the package, besides the standard library.
PURE = {
    "core": frozenset({"attrs", "msgspec"}),
    "wire": frozenset({"msgspec"}),
    "judge": frozenset({"attrs", "msgspec"}),
    "record": frozenset({"attrs", "msgspec"}),
    "sim": frozenset({"attrs", "msgspec", "numpy"}),
}

# Sockets, clocks, threads, processes and hidden randomness: a pure room is handed what it needs.
# fmt: off
IMPURE_MODULES = frozenset(
    {
        "asyncio", "concurrent", "datetime", "multiprocessing", "os", "pathlib", "sched",
        "secrets", "select", "selectors", "signal", "socket", "socketserver", "ssl",
        "subprocess", "tempfile", "threading", "time", "uuid", "_thread",
    }
)
# fmt: on

# Programs on top of a pure room: they read files, use all cores and take the time.
PROGRAMS = frozenset(
    {
        "chordnet.sim.__main__",
        "chordnet.sim.campaign.byzantine_command",
        "chordnet.sim.campaign.command",
        "chordnet.sim.campaign.series",
        "chordnet.sim.search.__main__",
        "chordnet.sim.slots.__main__",
        "chordnet.sim.store.__main__",
        "chordnet.sim.world.workers",
    }
)

# The rooms that start a program, so that every other one is handed its reactor; and the client,
# whose short form P2PNetClient("host:port") is for scripts that have none at hand.
REACTOR_ROOMS = frozenset({"tap", "cli", "client"})

MOST_FILES = 12
"""In one folder."""
MOST_LINES = 600
"""Of one file."""
MOST_METHODS = 25
"""Of one class."""
MOST_BODY = 50
"""Lines of one function."""
MOST_PARAMETERS = 8
"""Of one constructor, without ``self``."""

# What is larger, and by how much: a class that grows or shrinks says so here.
# fmt: off
METHODS = {
    "chordnet.client.client.P2PNetClient": 28,
    "chordnet.core.kernel.checks.Checks": 30,
    "chordnet.core.log.antientropy.AntiEntropy": 30,
    "chordnet.core.log.ledger.Ledger": 27,
    "chordnet.net.links.protocol.Connection": 28,
    "chordnet.net.links.transport.PeerTransport": 39,
    "chordnet.net.runtime.node.LocalNode": 33,
    "chordnet.service.ChordService": 30,
    "chordnet.sim.store.world.StoreWorld": 27,
    "chordnet.sim.world.network.Network": 38,
}
BODIES: dict[str, int] = {}
PARAMETERS: dict[str, int] = {
    "chordnet.client.client.P2PNetClient": 10,
}
# fmt: on


class Import(NamedTuple):
    """One imported name, dotted in full, and its line."""

    name: str
    line: int


def room_of(module: str) -> str:
    """The room of a dotted module name: ``core`` for ``chordnet.core.node``, "" for the package."""
    return [*module.split("."), ""][1]


def folder_of(name: str) -> str:
    """The key of ``ARROWS`` that a module, or what is imported from one, belongs to.

    ``core.ring`` for ``chordnet.core.ring.walk.Walks``; the room where it has no such folder.
    """
    parts = name.split(".")[1:]
    found = (".".join(parts[:depth]) for depth in range(len(parts), 1, -1))
    return next((folder for folder in found if folder in ARROWS), [*parts, ""][0])


def room_arrows() -> dict[str, frozenset[str]]:
    """Which rooms a room may import: the arrows between folders, seen from further away."""
    rooms: dict[str, set[str]] = {}
    for folder, targets in ARROWS.items():
        room = folder.partition(".")[0]
        rooms.setdefault(room, set()).update(t.partition(".")[0] for t in targets)
    return {room: frozenset(targets - {room}) for room, targets in rooms.items()}


def imports(module: str, tree: ast.AST, *, is_package: bool = False) -> Iterator[Import]:
    """Every name that ``module`` imports, relative ones resolved."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parent = parts[: len(parts) - node.level + 1]
                base = ".".join([*parent, *([base] if base else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)


def wrong_arrows(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Complaints about imports between folders; the package's own ``__init__`` may import any."""
    room, folder = room_of(module), folder_of(module)
    if not room:
        return []
    if folder not in ARROWS:
        return [f"{module}: the folder '{folder}' has no entry in ARROWS"]
    if module.count(".") > 2 and "." not in folder:
        return [f"{module}: its folder has no entry in ARROWS"]
    complaints = []
    for name, line in imports(module, ast.parse(source), is_package=is_package):
        if name.split(".")[0] != "chordnet" or name == "chordnet.__version__":
            continue
        target = folder_of(name)
        if target != folder and target not in ARROWS[folder]:
            shown = target or "the whole package"
            complaints.append(f"{module}:{line}: {folder} must not import {shown} ({name})")
    return complaints


def impure_imports(module: str, source: str) -> list[str]:
    """Complaints about what a pure room takes from outside the package."""
    allowed = PURE.get(room_of(module))
    if allowed is None or module in PROGRAMS:
        return []
    complaints = []
    for name, line in imports(module, ast.parse(source)):
        top = name.split(".")[0]
        foreign = top not in sys.stdlib_module_names and top not in allowed and top != "chordnet"
        if foreign or top in IMPURE_MODULES:
            complaints.append(f"{module}:{line}: {room_of(module)} is pure and must not use {name}")
    return complaints


def unused_allowances(modules: list[Module]) -> list[str]:
    """Complaints about what a table above allows and no module needs."""
    folders: dict[str, set[str]] = {folder: set() for folder in ARROWS}
    foreign: dict[str, set[str]] = {room: set() for room in PURE}
    impure, with_reactor = set(), set()
    for module in modules:
        room = room_of(module.name)
        found = imports(module.name, ast.parse(module.source), is_package=module.is_package)
        names = [name for name, _ in found]
        tops = {name.split(".")[0] for name in names}
        folders.setdefault(folder_of(module.name), set()).update(
            folder_of(name) for name in names if name.startswith("chordnet.")
        )
        foreign.setdefault(room, set()).update(tops)
        if tops & IMPURE_MODULES:
            impure.add(module.name)
        if any(name.startswith("twisted.internet.reactor") for name in names):
            with_reactor.add(room)
    unused = [("an arrow", each, name) for each in ARROWS for name in ARROWS[each] - folders[each]]
    unused += [("PURE", room, name) for room in PURE for name in PURE[room] - foreign[room]]
    unused += [("PROGRAMS", name, "the world") for name in PROGRAMS - impure]
    unused += [("REACTOR_ROOMS", room, "a reactor") for room in REACTOR_ROOMS - with_reactor]
    return [f"{table} allows {who} to use {what}, and it does not" for table, who, what in unused]


def global_reactor(module: str, source: str) -> list[str]:
    """Complaints about the process-wide reactor where a reactor should be handed in."""
    if room_of(module) in REACTOR_ROOMS:
        return []
    return [
        f"{module}:{line}: take the reactor as an argument, do not import {name}"
        for name, line in imports(module, ast.parse(source))
        if name.startswith("twisted.internet.reactor")
    ]


def global_random(module: str, source: str) -> list[str]:
    """Complaints about the process-wide random source; the types that make one's own are fine."""
    own = {"Random", "SystemRandom"}
    tree = ast.parse(source)
    used = [
        (name.partition(".")[2], line)
        for name, line in imports(module, tree)
        if name.startswith("random.")
    ]
    used += [
        (node.attr, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
        and _is_module(tree, "random")
    ]
    return [
        f"{module}:{line}: random.{name} is the process's; draw from the Random that was handed in"
        for name, line in used
        if name not in own
    ]


def _is_module(tree: ast.AST, name: str) -> bool:
    """Whether ``name`` is imported as a module, and not a parameter of the same name."""
    return any(
        alias.name == name and alias.asname is None
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    )


def undocumented(module: str, source: str, *, thorough: bool) -> list[str]:
    """Complaints about missing docstrings: the module's; ``thorough``, of all that is public."""
    tree = ast.parse(source)
    complaints = [] if ast.get_docstring(tree) else [f"{module}: no docstring"]
    if thorough:
        complaints += [
            f"{module}:{node.lineno}: {node.name} has no docstring"
            for node in _public_definitions(tree)
            if not ast.get_docstring(node)
        ]
    return complaints


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public_definitions(parent: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for node in parent.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            # What a seam's methods mean stands at the seam as a whole.
            if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
                yield from _public_definitions(node)


def too_long(module: str, source: str) -> list[str]:
    """A complaint about a module that should be two."""
    lines = len(source.splitlines())
    return (
        [f"{module}: {lines} lines, split it (at most {MOST_LINES})"] if lines > MOST_LINES else []
    )


def crowded(modules: list[Module]) -> list[str]:
    """Complaints about folders that hold too many files."""
    files = Counter(
        module.name if module.is_package else module.name.rpartition(".")[0] for module in modules
    )
    return [
        f"{folder}: {count} files, make folders of them (at most {MOST_FILES})"
        for folder, count in files.items()
        if count > MOST_FILES
    ]


Function = ast.FunctionDef | ast.AsyncFunctionDef


def oversized(modules: list[Module]) -> list[str]:
    """Complaints about classes, functions and constructors whose size the tables do not name."""
    methods, bodies, parameters = dict[str, int](), dict[str, int](), dict[str, int]()
    for module in modules:
        for node in ast.walk(ast.parse(module.source)):
            name = f"{module.name}.{getattr(node, 'name', '')}"
            if isinstance(node, ast.ClassDef):
                own = [each for each in node.body if isinstance(each, Function)]
                methods[name] = len(own)
                parameters[name] = max(
                    (_parameters(each) for each in own if each.name == "__init__"), default=0
                )
            elif isinstance(node, Function):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                bodies[name] = max(lines, bodies.get(name, 0))
    return [
        f"{name}: {found.get(name, 0)} {what}; it may have {named.get(name, limit)}"
        for found, named, limit, what in (
            (methods, METHODS, MOST_METHODS, "methods"),
            (bodies, BODIES, MOST_BODY, "lines"),
            (parameters, PARAMETERS, MOST_PARAMETERS, "parameters"),
        )
        for name in found.keys() | named.keys()
        if (found.get(name, 0) != named[name] if name in named else found[name] > limit)
    ]


def _parameters(function: Function) -> int:
    return len(function.args.args) + len(function.args.kwonlyargs) - 1


# Put together from pieces, so that this file passes its own checks.
_UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
_MACHINE = re.compile(r"(?<![\w.$}>])/(?:work|root|home|Users|tmp)/\w")
_INDEX = re.compile("|".join(("py" + r"pi\.org", "python" + r"hosted\.", "deb" + r"\.debian\.org")))
_UNFIT = (
    (_UNFINISHED, "unfinished work"),
    (_MACHINE, "a path of one machine"),
    (_INDEX, "the host name of a package index"),
)


def unfit_text(name: str, text: str) -> list[str]:
    """Complaints about what no committed file should say."""
    return [
        f"{name}:{number}: {what}: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, what in _UNFIT
        if pattern.search(line)
    ]


class Module(NamedTuple):
    """A module of the package: its dotted name and its text."""

    name: str
    source: str
    is_package: bool


def package_modules() -> list[Module]:
    """Every module under ``chordnet/``."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    return found


_FOLDERS = (
    "chordnet",
    "tests",
    "twisted_plugins",
    "docs",
    "compose",
    "benchmarks",
    "requirements",
    ".ci",
)
_SUFFIXES = frozenset({".py", ".md", ".rst", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".sh", ""})


def project_texts() -> Iterator[tuple[str, str]]:
    """Every text of the project that people wrote: its name below the root, and what it says."""
    paths = [path for path in ROOT.iterdir() if path.name != "LICENSE"]
    for folder in _FOLDERS:
        paths += (ROOT / folder).rglob("*")
    for path in sorted(set(paths)):
        name = path.relative_to(ROOT)
        skipped = {"_build", "__pycache__", "results"} & set(name.parts)
        # .env and .coverage are a machine's own; .gitignore and .dockerignore are ours.
        hidden = path.name.startswith(".") and "ignore" not in path.name
        if path.is_file() and path.suffix in _SUFFIXES and not skipped and not hidden:
            yield str(name), path.read_text(encoding="utf-8")
