"""Start the nodes of the local engine: one process imports ``twistd`` once and forks them all.

Every node is a process of its own that runs ``twistd --nodaemon chordnode …``, as if it had been
started by hand. Forking them from a process that has done the imports saves each of them
a third of a second and shares the memory of what was imported.

Run as ``python -m chordnet.testbed.engines.nursery`` with a JSON list of :class:`Birth` on standard
input. The pid file of a node is written before the next one is started, so that even after an
interruption every node that runs can be found and ended. No reactor may be imported here: each
child has to make its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from chordnet.testbed.engines.processes import identify


class Birth(msgspec.Struct, frozen=True):
    """A node to be started."""

    directory: str
    """Its current directory, which holds its ``log`` and its ``pid``."""
    words: list[str]
    """The arguments of ``twistd``."""


def main() -> None:
    """Start every node named on standard input."""
    os.umask(0o077)  # logs and recordings hold every message
    births = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Birth])
    _import_what_nodes_need()
    # Objects that the collector never visits stay on pages that the children share.
    gc.collect()
    gc.freeze()
    for birth in births:
        _start(birth)


def _import_what_nodes_need() -> None:
    import setproctitle  # noqa: F401, PLC0415 - imported for the children
    import twisted.internet.endpoints  # noqa: PLC0415
    import twisted.scripts.twistd  # noqa: F401, PLC0415
    from twisted.application.service import IServiceMaker  # noqa: PLC0415
    from twisted.plugin import getPlugins  # noqa: PLC0415

    # A service maker loads its command's module when it is asked for the options.
    for maker in getPlugins(IServiceMaker):
        if maker.tapname == "chordnode":
            maker.options  # noqa: B018
    with contextlib.suppress(ImportError):  # without epoll Twisted takes another reactor
        importlib.import_module("twisted.internet.epollreactor")


def _start(birth: Birth) -> None:
    directory = Path(birth.directory)
    begin, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        allowed = os.read(begin, 1)  # arrives once the pid file exists
        os.close(begin)
        if not allowed:  # the nursery has ended, and no command would find this node
            os._exit(1)
        _live(directory, birth.words)
    os.close(begin)
    process = identify(pid)
    if process is not None:
        (directory / "pid").write_text(f"{process}\n", encoding="ascii")
        os.write(go, b"1")
    os.close(go)


def _live(directory: Path, words: Sequence[str]) -> NoReturn:
    """Run the node in a session of its own, and never return."""
    status = 1
    try:
        os.setsid()
        os.chdir(directory)
        for name, flags, targets in (
            (os.devnull, os.O_RDONLY, (0,)),
            ("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, (1, 2)),
        ):
            descriptor = os.open(name, flags, 0o600)
            for target in targets:
                os.dup2(descriptor, target)
            os.close(descriptor)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        status = _twistd(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _twistd(words: Sequence[str]) -> int:
    import setproctitle  # noqa: PLC0415
    from twisted.scripts.twistd import run  # noqa: PLC0415

    sys.argv = ["twistd", *words]
    setproctitle.setproctitle(" ".join(sys.argv))
    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as Python itself does
            return 1
        return end.code or 0
    except Exception:  # noqa: BLE001 - shown as Python itself does
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    main()
