"""The command line ``p2pnet``: one module a family of commands, each imported when it is used."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``p2pnet`` with the words it was called with, and exit with its status."""
    from chordnet.cli.app import run  # noqa: PLC0415 - importing chordnet.cli stays free of click

    sys.exit(run(sys.argv[1:]))
