"""The ``chordnode`` command of ``twistd``: options, and the service made from them.

:mod:`chordnet.settings` declares the options, and reads them from the command line, a TOML file
(``--config``) and the environment.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
from twisted.application.service import MultiService
from twisted.python.failure import Failure
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from chordnet.core.base.errors import ChordnetError, ConfigError
from chordnet.home import COOKIE, home_directory
from chordnet.kinds import Addresses, Flag
from chordnet.net.links.listening import check_port
from chordnet.service import ChordService
from chordnet.settings import CONFIG, OPTIONS, NodeSettings, Option
from chordnet.sources import from_environment, from_file, read_values, settings_of

if TYPE_CHECKING:
    from chordnet.net.enrol.joining import Told

MAPPED_BYTES = 256 * 1024
"""Memory blocks from this size on are returned to the system when they are freed (glibc)."""
_M_MMAP_THRESHOLD = -3
_NAMED = 3
"""Ignored variables that are named one by one."""


def _say(text: str) -> None:
    # Not sys.stderr, which twistd has redirected to its log by the time a node starts.
    if sys.__stderr__ is not None:
        print(f"chordnode: {text}", file=sys.__stderr__)


def _refuse(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)


class Options(TwistedOptions):
    """Options of ``twistd chordnode``, made from :data:`chordnet.settings.OPTIONS`.

    After parsing they hold every option's value by its key, and :attr:`settings`.

    :param say: shows a line to the user.
    """

    synopsis = "[options]"
    longdesc = (
        "Run one node of a chordnet ring. Every option can stand in the file named by --config "
        '(port = 7001, peers = ["host:7002"]) and in variables such as CHORDNODE_PORT and '
        "CHORDNODE_PEERS. Example: twistd -n chordnode --port 7002 --peer 127.0.0.1:7001"
    )
    optParameters = [  # noqa: RUF012 - Twisted's way to state options
        *(
            [each.name, each.short or None, None, f"{each.help} [{each.default_text}]"]
            for each in OPTIONS.values()
            if not isinstance(each.kind, Flag | Addresses)
        ),
        [CONFIG.name, CONFIG.short, None, CONFIG.help],
    ]
    optFlags = [  # noqa: RUF012 - the same
        [each.name, each.short or None, each.help]
        for each in OPTIONS.values()
        if isinstance(each.kind, Flag)
    ]
    compData: Any = None
    settings: NodeSettings

    def __init__(
        self, environ: Mapping[str, str] = os.environ, say: Callable[[str], None] = _say
    ) -> None:
        super().__init__()
        self._environ = environ
        self._tell = say
        for each in _REPEATED:
            self.setdefault(each.key, [])

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line; twistd calls this.

        :raises SystemExit: something is not usable; one line says what. The status is 1, which not
            every version of twistd exits with for a UsageError.
        """
        try:
            super().parseOptions(options)
        except UsageError as error:
            _refuse(str(error))

    def postOptions(self) -> None:
        """Add the values of the other sources, and check everything.

        :raises UsageError: something is not usable; one line says what.
        """
        given = {key: value for key, value in self.items() if value not in (None, [], 0)}
        try:
            environment = from_environment(self._environ)
            path = given.get(CONFIG.key) or environment.found.get(CONFIG.key)
            file = from_file(path) if path is not None else {}
            values = read_values([file, environment.found, given])
            self.settings = settings_of(values)
        except ConfigError as error:
            raise UsageError(str(error)) from None
        self.update(values)
        if environment.ignored:
            names, more = ", ".join(environment.ignored[:_NAMED]), len(environment.ignored) - _NAMED
            also = f" and {more} more" if more > 0 else ""
            self._tell(f"ignored {names}{also}: set by Kubernetes for a service")


_REPEATED = [each for each in OPTIONS.values() if isinstance(each.kind, Addresses)]
"""Options that may be given several times; Twisted wants methods for them."""


def _repeatable(option: Option) -> Callable[[Options, str], None]:
    def collect(self: Options, value: str) -> None:
        self[option.key].append(value)

    collect.__doc__ = option.help
    return collect


for _option in _REPEATED:
    setattr(Options, f"opt_{_option.name}", _repeatable(_option))


class NodeProcess(MultiService):
    """The node as the sole purpose of its process.

    If the node cannot start, the process ends with one line and exit status 1. If a client makes it
    leave, or its terminal is closed, the process ends in order. While it ends, further signals and
    requests to leave have no effect.

    :param reactor: is stopped to end the process; its signal handlers are in no interface.
    """

    def __init__(self, node: ChordService, reactor: Any) -> None:
        super().__init__()
        self._node = node
        self._reactor = reactor
        self._ending = False
        node.setServiceParent(self)
        node.on_leave_request(self._end)

    def privilegedStartService(self) -> None:
        """Do nothing: a node needs no privileges. twistd calls this before :meth:`startService`."""

    def startService(self) -> None:
        """Start the node.

        :raises CannotStart: it cannot start. Unlike for a ``SystemExit``, twistd reports this from
            a background process as well, and removes its pid file.
        """
        super().startService()
        _settle_memory()
        problems: list[Failure] = []
        starting = self._node.started().addErrback(problems.append)
        if problems:
            raise CannotStart(problems[0].getErrorMessage())
        starting.addCallback(lambda _none: self._end() if problems else None)
        self._handle_hangup()
        # Twisted sets its handlers when the reactor begins to run.
        self._reactor.callWhenRunning(self._handle_first_signal)

    def _handle_hangup(self) -> None:
        """Leave the ring in order when the terminal is closed, unless nohup keeps us running."""
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
            # As for SIGTERM: twistd ends the process by the signal when everything has stopped.
            signal.signal(hangup, partial(self._signalled, self._reactor.sigTerm))

    def _handle_first_signal(self) -> None:
        """Have Twisted's handlers called for the first signal only.

        Each of them stops the reactor, and a reactor that is stopped twice logs a traceback.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            twisted = handler in (self._reactor.sigInt, self._reactor.sigTerm)
            if twisted and callable(handler):
                signal.signal(number, partial(self._signalled, handler))

    def _signalled(
        self,
        handler: Callable[[int, FrameType | None], object],
        number: int,
        frame: FrameType | None,
    ) -> None:
        if not self._ending:
            self._ending = True
            handler(number, frame)

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._reactor.stop()


class CannotStart(Exception):
    """The node cannot start. It passes through twistd, and :func:`_report` shows it as one line."""


def _report(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Show the exception that ends the process; a ``sys.excepthook``."""
    if issubclass(kind, CannotStart):
        _say(str(problem))
    else:
        sys.__excepthook__(kind, problem, trace)


def _settle_memory() -> None:
    """Return the memory that the start needed, and look for reference cycles less often.

    A node makes hardly any cycles except those of Twisted's connections, and with the default
    thresholds the collector takes half of a busy node's time. With these it looks through young
    objects often enough that what connections leave behind stays below a megabyte. An embedding
    program decides this for itself, so it is done here and not in the service.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 50, 100)
    if os.name == "posix":
        library = ctypes.CDLL(None)
        # glibc raises this threshold to the largest block ever freed. Blocks that a node needs only
        # for a moment, to give a neighbour what it missed, would then leave holes in the heap.
        getattr(library, "mallopt", max)(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        # What only importing needed goes back to the system, if the C library can do that.
        getattr(library, "malloc_trim", int)(0)


def makeService(options: Options) -> MultiService:
    """Make the service from checked options; twistd calls this."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd has installed it by now

    try:
        settings = as_member(_as_visitor(options.settings, os.environ))
        settings.security(settings.bound)
        node = ChordService(reactor, settings=settings, cookies=_own_cookies(settings))
        if _starts_in_the_background(getattr(options, "parent", None)):
            check_port(settings.port, settings.bound)
            node.check_storage()
    except ChordnetError as error:
        _refuse(str(error))
    sys.excepthook = _report
    return NodeProcess(node, reactor)


def _own_cookies(settings: NodeSettings) -> list[Path]:
    """Return the cookie that the user's programs share, for a node that is given none."""
    if settings.cookie is not None:
        return []
    try:
        return [home_directory(os.environ) / COOKIE]
    except ConfigError:  # this user has no home directory
        return []


def _as_visitor(settings: NodeSettings, environ: Mapping[str, str]) -> NodeSettings:
    """Return the settings with an identity, if the node visits a secured network of this user's.

    :raises ChordnetError: no identity can be made for it.
    """
    # One that is given a cookie belongs to a network that p2pnet has started.
    given = settings.identity is not None or settings.join is not None
    if given or settings.cookie is not None or not settings.peers:
        return settings
    from chordnet.testbed.identities.visiting import (  # noqa: PLC0415 - few nodes are visitors
        visitor_identity,
    )

    identity = visitor_identity(environ, settings.peers, settings.name, settings.port)
    return settings if identity is None else attrs.evolve(settings, identity=identity)


def as_member(settings: NodeSettings) -> NodeSettings:
    """Return the settings of a node that has its identity, which a token may have to get first.

    What a person has set counts for more than what the network says of itself.

    :raises ChordnetError: it cannot become a member; nothing was kept.
    """
    if settings.join is None and settings.identity is None:
        return settings
    from chordnet.net.enrol.joining import (  # noqa: PLC0415 - only secured nodes
        become_member,
        load_told,
    )

    told = None
    if settings.join is not None:
        directory = _identity_directory(settings)
        member = become_member(settings.join, directory, settings.name or "", peer=True)
        settings = attrs.evolve(settings, identity=directory, join=None, name=None)
        told = member.told
        if member.new:
            who = f"{member.identity.subject.name!r} in the network {member.identity.network}"
            _say(f"joined as {who}; the identity is kept in {directory.absolute()}")
    elif isinstance(settings.identity, str | os.PathLike):
        told = load_told(Path(settings.identity))
    return settings if told is None else _told(settings, told)


def _identity_directory(settings: NodeSettings) -> Path:
    """Return where the identity of a node that joins is kept."""
    if isinstance(settings.identity, str | os.PathLike):
        return Path(settings.identity)
    if settings.state_dir is not None:
        return Path(settings.state_dir) / "identity"
    return Path("chordnode-identity")


def _told(settings: NodeSettings, told: Told) -> NodeSettings:
    """Return the settings with what the network says, where nobody has said otherwise."""
    default = NodeSettings()
    if told.ring and settings.network == default.network:
        settings = attrs.evolve(settings, network=told.ring)
    if told.bits and settings.config.bits == default.config.bits:
        settings = attrs.evolve(settings, config=attrs.evolve(settings.config, bits=told.bits))
    if not settings.peers:
        settings = attrs.evolve(settings, peers=told.addresses)
    return settings


def _starts_in_the_background(twistd: Mapping[str, object] | None) -> bool:
    """Return True if the terminal will be gone when the node starts.

    twistd then cuts a failure's text off after 100 letters, so what can be checked beforehand is.
    With another directory, root or user such a check would be made for the wrong one.

    :param twistd: the options of twistd itself.
    """
    if twistd is None or twistd.get("nodaemon", True):
        return False
    moved = any(twistd.get(key) is not None for key in ("chroot", "uid", "gid"))
    return not moved and twistd.get("rundir", ".") == "."
