"""The command line ``p2pnet``: one module a family of commands, each imported when it is used."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run ``p2pnet`` with the arguments of this process, and exit with its status."""
    # Processes started from here must find their modules as installed, not in the user's directory.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        from chordnet.cli.base.streams import prepare_streams  # noqa: PLC0415 - a Ctrl-C may come now

        prepare_streams()
        from chordnet.cli.app import run  # noqa: PLC0415 - the same

        status = run(sys.argv[1:])
        # The work is done: a Ctrl-C while Python exits must not look like a failure.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
