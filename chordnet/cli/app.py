"""The group of commands, the layout of its help, and the handling of failures.

A command's module is imported when the command runs: ``p2pnet --help``, ``--version`` and shell
completion import none of them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import attrs
import click

from chordnet import __version__
from chordnet.cli.base.failures import FAILED, WRONG_WORDS, complain, status_of, system_problem


@attrs.frozen
class _Entry:
    module: str
    function: str
    family: str
    help: str
    folder: str = "commands"


_NETWORK, _MESSAGES, _INSIDE, _STORY = "Network", "Messages", "Look inside", "Start here"
_KEYS = "Keys"
_MEMBERS = "Members of a secured network"
_SIM = "Simulate"

COMMANDS = {
    "demo": _Entry("demo", "demo", _STORY, "The whole story in a minute, on a network of its own."),
    "start-network": _Entry("lifecycle", "start_network", _NETWORK, "Start nodes into one ring."),
    "stop-network": _Entry("lifecycle", "stop_network", _NETWORK, "Stop every node."),
    "restart-network": _Entry(
        "lifecycle", "restart_network", _NETWORK, "Restart every node; --rolling: in use."
    ),
    "remove-node": _Entry("members", "remove_node", _NETWORK, "Take one node away."),
    "add-node": _Entry("members", "add_node", _NETWORK, "Bring a node back, or add the next."),
    "networks": _Entry("status", "networks", _NETWORK, "The networks that are kept here."),
    "chaos": _Entry("chaos", "chaos", _NETWORK, "Kill, freeze, part or slow down; and heal."),
    "send-message": _Entry("messages", "send_message", _MESSAGES, "Broadcast one phrase."),
    "get-messages": _Entry("messages", "get_messages", _MESSAGES, "Messages and their routes."),
    "put": _Entry("keys", "put", _KEYS, "Write a value under a key.", "store"),
    "get": _Entry("keys", "get", _KEYS, "Print the value of a key.", "store"),
    "delete": _Entry("keys", "delete", _KEYS, "Delete a key.", "store"),
    "watch": _Entry("watch", "watch", _KEYS, "Print what becomes of a key.", "store"),
    "keys": _Entry("watch", "keys", _KEYS, "The keys that a node holds.", "store"),
    "store": _Entry("look", "store", _KEYS, "The nodes that hold the keys.", "store"),
    "explain-key": _Entry("explain", "explain_key", _KEYS, "Where a key lives.", "store"),
    "invite": _Entry("invite", "invite", _MEMBERS, "Let somebody else in.", "trust"),
    "join": _Entry("join", "join", _MEMBERS, "Become a client of a secured network.", "trust"),
    "renew": _Entry("renew", "renew", _MEMBERS, "Renew a client's certificate.", "trust"),
    "certificates": _Entry(
        "certificates", "certificates", _MEMBERS, "Who is certified, and until when.", "trust"
    ),
    "revoke": _Entry("revoke", "revoke", _MEMBERS, "Believe a member no more.", "trust"),
    "rotate-authority": _Entry(
        "rotate", "rotate_authority", _MEMBERS, "Put a new root in the old one's place.", "trust"
    ),
    "status": _Entry("status", "status", _INSIDE, "A table of all nodes."),
    "doctor": _Entry("doctor", "doctor", _INSIDE, "Check the whole ring from outside."),
    "ring": _Entry("ring", "ring", _INSIDE, "Draw the ring, here or as SVG."),
    "explain": _Entry("explain", "explain", _INSIDE, "The tree that a message would travel."),
    "trace": _Entry("explain", "trace", _INSIDE, "The way that a message travelled."),
    "lookup": _Entry("lookup", "lookup", _INSIDE, "The owner of a key and the path to it."),
    "logs": _Entry("logs", "logs", _INSIDE, "What a node wrote."),
    "simulate": _Entry(
        "simulate", "simulate", _SIM, "Many nodes in virtual time, measured.", "lab"
    ),
    "lab": _Entry("lab", "lab", _SIM, "What goes wrong without a rule of the store.", "lab"),
    "replay": _Entry("replay", "replay", _INSIDE, "Live recorded nodes' lives again.", "lab"),
    "check-history": _Entry(
        "check_history",
        "check_history_command",
        _INSIDE,
        "Judge what a store's clients saw.",
        "lab",
    ),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"chordnet.cli.{entry.folder}.{entry.module}")
        command: click.Command = getattr(module, entry.function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0], COMMANDS, 3)
            known = ", ".join(COMMANDS)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {known}"
            raise click.UsageError(f"there is no command '{args[0]}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for family in (_STORY, _NETWORK, _MESSAGES, _KEYS, _MEMBERS, _INSIDE, _SIM):
            with formatter.section(family):
                formatter.write_dl(
                    [(n, entry.help) for n, entry in COMMANDS.items() if entry.family == family]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the commands' names without importing them."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - seldom needed

        names = [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


COMPLETING = "_P2PNET_COMPLETE"
"""The variable that click has a shell set to ask for completions."""

EPILOG = """\b
Examples:
  p2pnet start-network
  p2pnet send-message 4 apple
  p2pnet get-messages 8
  p2pnet stop-network

\b
Shell completion (bash; likewise zsh and fish):
  eval "$(_P2PNET_COMPLETE=bash_source p2pnet)"
"""


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="p2pnet")
def cli() -> None:
    """Run a Chord ring on this machine, send messages through it and look inside."""


def run(words: Sequence[str], bench: object = None) -> int:
    """Run one command and return the exit status; failures become one line on stderr.

    :param bench: where its work is done (:class:`chordnet.cli.base.session.Bench`); by default
        here.
    """
    if not words and COMPLETING not in os.environ:  # a shell asks for completions without words
        print(cli.get_help(cli.make_context("p2pnet", ["x"])), file=sys.stderr)
        return WRONG_WORDS
    try:
        result = cli.main(list(words), prog_name="p2pnet", standalone_mode=False, obj=bench)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has closed the pipe
        _forget_output()
        return FAILED
    except OSError as problem:
        _forget_output()
        complain(system_problem(problem))
        return FAILED
    except Exception as problem:
        status = status_of(problem)
        if status is None:
            raise
        return status
    return result if isinstance(result, int) else 0


def _forget_output() -> None:
    """Drop unwritten output: flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
