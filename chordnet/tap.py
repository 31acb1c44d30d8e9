"""The ``chordnode`` command of ``twistd``: options, and the service made from them.

Every option can also stand in a TOML file (``--config``) and in the environment; the command line
wins over the environment, the environment over the file.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ChordnetError, ConfigError
from chordnet.core.node import real_node
from chordnet.net.base.addresses import checked_name, format_address, parse_address
from chordnet.net.links.listening import check_port
from chordnet.net.runtime.recorder import RECORD_BYTES, Recorder
from chordnet.service import ChordService
from chordnet.storage.log.sqlite import HISTORY_BYTES, HISTORY_S

PREFIXES = ("CHORDNODE_", "CHORDNET_")
"""Of environment variables; the first one that is set wins."""
DEFAULT_PORT = 7001
MAPPED_BYTES = 256 * 1024
"""Blocks of memory from this size on go back to the system as soon as they are freed (glibc)."""
_M_MMAP_THRESHOLD = -3
_MAX_PEERS = 64
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


class Options(TwistedOptions):
    """Options of ``twistd chordnode``."""

    synopsis = "[options]"
    longdesc = (
        "Run one node of a chordnet ring. Every option can stand in the file named by --config "
        '(port = 7001, peers = ["host:7002"]) and in variables such as CHORDNODE_PORT and '
        "CHORDNODE_PEERS. Example: twistd -n chordnode --port 7002 --peer 127.0.0.1:7001"
    )
    optParameters = [  # noqa: RUF012 - Twisted's way to state options
        ["port", "p", None, f"Port for peers and clients, 0 for any free one [{DEFAULT_PORT}]"],
        ["interface", "i", None, "Address to listen on [all interfaces]"],
        ["advertise", "a", None, "HOST:PORT at which others reach this node [worked out]"],
        ["name", "n", None, "The node's name, its own in the whole network [its address]"],
        ["network", None, None, "Name of the network [default]"],
        ["bits", None, None, "Width of identifiers, the same in the whole network [160]"],
        ["state-dir", "s", None, "Directory that keeps identity and messages over restarts [none]"],
        [
            "durability",
            None,
            None,
            "What a recorded message survives: process (kill -9) or power [process]",
        ],
        ["history-bytes", None, None, f"Messages kept, in bytes [{HISTORY_BYTES}]"],
        ["history-hours", None, None, f"How long messages are kept [{HISTORY_S / 3600:g}]"],
        ["record", None, None, "File to record every event in, for p2pnet replay [none]"],
        ["record-bytes", None, None, f"How long that file may get [{RECORD_BYTES}]"],
        ["config", "c", None, "TOML file with these options"],
    ]
    optFlags = [  # noqa: RUF012 - the same
        ["alone", None, "Create a ring if none of the peers answers"],
        ["debug", None, "Log single messages too"],
    ]
    compData: Any = None

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        self._environ = environ
        self.setdefault("peers", [])

    def opt_peer(self, address: str) -> None:
        """HOST:PORT of a node to join through; may be given several times."""
        self["peers"].append(address)

    def parseOptions(self, options: Any = None) -> None:
        """Read the command line, as twistd asks for it.

        :raises SystemExit: something is not usable; one line says what. Status 1, which not every
            version of twistd gives to a UsageError.
        """
        try:
            super().parseOptions(options)
        except UsageError as error:
            _refuse(str(error))

    def postOptions(self) -> None:
        """Fill in what the command line left open, and check everything.

        :raises UsageError: something is not usable; one line says what.
        """
        given = {key: value for key, value in self.items() if value not in (None, [], 0)}
        try:
            environment = self._from_environment()
            file = self._from_file(given.get("config") or environment.get("config"))
            self.update({**_DEFAULTS, **file, **environment, **given})
            self._check()
        except ConfigError as error:
            raise UsageError(str(error)) from None

    def _from_environment(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for prefix in reversed(PREFIXES):
            for key in _KEYS:
                value = self._environ.get(prefix + key.replace("-", "_").upper())
                if value:
                    found[key] = _peers(value) if key == "peers" else value
        return found

    def _from_file(self, path: str | None) -> dict[str, Any]:
        if path is None:
            return {}
        try:
            with Path(path).open("rb") as file:
                table = tomllib.load(file)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from None
        found = {str(key).replace("_", "-"): value for key, value in table.items()}
        found = {"peers" if key == "peer" else key: value for key, value in found.items()}
        for key, value in found.items():
            if key not in _KEYS or key == "config":
                known = ", ".join(_KEYS[1:])
                raise ConfigError(f"{path}: {key!r} is no option; there are {known}")
            found[key] = _peers(value) if key == "peers" else value
        return found

    def _check(self) -> None:
        self["port"] = _number("port", self["port"], 0, 65535)
        self["bits"] = _number("bits", self["bits"], 3, 256)
        self["history-bytes"] = _number("history-bytes", self["history-bytes"], 1, 1 << 40)
        self["history-hours"] = _number("history-hours", self["history-hours"], 1, 1 << 20)
        self["record-bytes"] = _number("record-bytes", self["record-bytes"], 4096, 1 << 40)
        if self["durability"] not in ("process", "power"):
            raise ConfigError(f"durability must be process or power, not {self['durability']!r}")
        for key in ("alone", "debug"):
            self[key] = _flag(key, self[key])
        for key in ("interface", "advertise", "name", "network", "state-dir", "record"):
            if self[key] is not None and not isinstance(self[key], str):
                raise ConfigError(f"{key} must be a text, not {self[key]!r}")
        if len(self["peers"]) > _MAX_PEERS:
            raise ConfigError(f"at most {_MAX_PEERS} peers can be given")
        self["peers"] = [format_address(*parse_address(peer)) for peer in self["peers"]]
        checked_name("network", self["network"])
        if self["name"] is not None:
            checked_name("name", self["name"])


_KEYS = (
    "config", "port", "interface", "advertise", "peers", "name", "network", "bits", "state-dir",
    "durability", "history-bytes", "history-hours", "alone", "debug", "record", "record-bytes",
)  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "alone": False,
    "port": DEFAULT_PORT, "interface": None, "advertise": None, "name": None,
    "network": "default", "bits": 160, "state-dir": None, "debug": False, "peers": [],
    "durability": "process", "history-bytes": HISTORY_BYTES, "history-hours": int(HISTORY_S / 3600),
    "record": None, "record-bytes": RECORD_BYTES,
}  # fmt: skip


def _peers(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, list) and all(isinstance(peer, str) for peer in value):
        return list(value)
    raise ConfigError(f"peers must be a list of HOST:PORT, not {value!r}")


def _number(what: str, value: Any, lowest: int, highest: int) -> int:
    try:
        number = int(value) if not isinstance(value, (bool, float)) else None
    except (TypeError, ValueError):
        number = None
    if number is None or not lowest <= number <= highest:
        raise ConfigError(
            f"{what} must be a whole number from {lowest} to {highest}, not {value!r}"
        )
    return number


def _flag(what: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ConfigError(f"{what} must be yes or no, not {value!r}")
    return text in _TRUE


def listen_description(port: int, interface: str | None) -> str:
    """Return the endpoint description for a port on an interface, all of them if it is None."""
    if not interface or interface in ("*", "auto"):
        return f"tcp:{port}"
    host = interface.strip("[]")
    kind = "tcp6" if ":" in host else "tcp"
    escaped = host.replace(":", r"\:")
    return f"{kind}:{port}:interface={escaped}"


class NodeProcess(MultiService):
    """The node as the one thing its process is there for.

    When the node cannot start, the process ends with one line and exit status 1. When a
    client made it leave, or its terminal was closed, the process ends in order. While it ends,
    further signals and orders to leave change nothing.

    :param reactor: is stopped to end the process.
    :param recorder: what records the node; its file is closed when the node has stopped.
    """

    def __init__(self, node: ChordService, reactor: Any, recorder: Recorder | None = None) -> None:
        super().__init__()
        self._node = node
        self._reactor = reactor
        self._recorder = recorder
        self._ending = False
        node.setServiceParent(self)
        node.on_leave_request(self._end)

    def privilegedStartService(self) -> None:
        """Nothing needs privileges; kept apart from :meth:`startService` by twistd."""

    def startService(self) -> None:
        """Start the node.

        :raises CannotStart: it cannot start. twistd reports that from a process in the background,
            too, and removes its pid file, which it does for no ``SystemExit``.
        """
        super().startService()
        _settle_memory()
        problems: list[Failure] = []
        starting = self._node.started().addErrback(problems.append)
        if problems:
            raise CannotStart(problems[0].getErrorMessage())
        starting.addCallback(lambda _none: self._end() if problems else None)
        self._heed_hangup()
        # Twisted sets its handlers when the reactor begins to run.
        self._reactor.callWhenRunning(self._heed_one_signal)

    def _heed_hangup(self) -> None:
        """Leave the ring in order when the terminal is closed, unless nohup keeps us running."""
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
            # As for SIGTERM: the process ends by the signal once all is over.
            signal.signal(hangup, partial(self._signalled, self._reactor.sigTerm))

    def _heed_one_signal(self) -> None:
        """Have Twisted's handlers called for the first signal only.

        Each of them stops the reactor, and a reactor that is told so twice logs a traceback.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler in (self._reactor.sigInt, self._reactor.sigTerm):
                signal.signal(number, partial(self._signalled, handler))

    def _signalled(self, handler: Any, number: int, frame: Any) -> None:
        if not self._ending:
            self._ending = True
            handler(number, frame)

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """Stop the node; fires when nothing is left."""
        stopped: Deferred[Any] = super().stopService()
        return stopped.addBoth(self._close_recording)

    def _close_recording(self, result: Any) -> Any:
        if self._recorder is not None:
            self._recorder.close()
        return result


class CannotStart(Exception):
    """The node cannot start. twistd lets it through; :func:`_report` shows it as one line."""


def _report(kind: type[BaseException], problem: BaseException, trace: Any) -> None:
    """Show what ends the process, as ``sys.excepthook``."""
    if issubclass(kind, CannotStart):
        _say(str(problem))
    else:
        sys.__excepthook__(kind, problem, trace)


def _say(text: str) -> None:
    # Not sys.stderr, which twistd has turned into a part of its log by the time a node starts.
    if sys.__stderr__ is not None:
        print(f"chordnode: {text}", file=sys.__stderr__, flush=True)


def _refuse(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)


def _settle_memory() -> None:
    """Give back what the start needed, and look for reference cycles less often.

    A node makes next to no cycles; at its default pace the collector takes half of a busy node's
    time. An embedding program decides this for itself, so it is done here and not in the service.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    if os.name == "posix":
        library = ctypes.CDLL(None)
        # glibc raises this bound with the largest block that was ever freed. Blocks that a node
        # needs for a moment, to give a neighbour back what it missed, then leave holes in the heap.
        getattr(library, "mallopt", max)(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        # What importing needed for a moment goes back to the system, where the C library can do so.
        getattr(library, "malloc_trim", int)(0)


def makeService(options: Mapping[str, Any]) -> MultiService:
    """Make the service from checked options, as twistd asks for it."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd has installed it by now

    path = options["record"]
    recorder = Recorder(path, options["record-bytes"]) if path else None
    listen = listen_description(options["port"], options["interface"])
    try:
        node = ChordService(
            reactor,
            listen,
            options["peers"],
            alone=options["alone"],
            name=options["name"],
            network=options["network"],
            advertise=options["advertise"],
            state_dir=options["state-dir"],
            durability=options["durability"],
            history_bytes=options["history-bytes"],
            history_s=options["history-hours"] * 3600.0,
            config=ProtocolConfig(bits=options["bits"]),
            debug=options["debug"],
            core=recorder or real_node,
        )
        if _starts_in_the_background(getattr(options, "parent", None)):
            check_port(options["port"], options["interface"])
            node.check_storage()
            if recorder is not None:
                recorder.check()
    except ChordnetError as error:
        _refuse(str(error))
    sys.excepthook = _report
    return NodeProcess(node, reactor, recorder)


def _starts_in_the_background(twistd: Mapping[str, Any] | None) -> bool:
    """Return whether the terminal will be gone when the node starts.

    What twistd shows of a failure then is cut off after 100 letters, so what can be found out
    beforehand is. With another directory, root or user it would be asked of the wrong one.

    :param twistd: the options of twistd itself.
    """
    if twistd is None or twistd.get("nodaemon", True):
        return False
    moved = any(twistd.get(key) is not None for key in ("chroot", "uid", "gid"))
    return not moved and twistd.get("rundir", ".") == "."
