"""The command line ``p2pnet``: one module a family of commands, each imported when it is used."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run ``p2pnet`` with the words it was called with, and exit with its status."""
    try:
        from chordnet.cli.app import run  # noqa: PLC0415 - a Ctrl-C may come this early

        status = run(sys.argv[1:])
        # All is said and done: a Ctrl-C while Python ends shall not make it look like a failure.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
