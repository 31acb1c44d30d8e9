"""``p2pnet store`` with the commands below it, each imported when it runs."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "export": ("backup", "export", "All keys into a file."),
    "import": ("backup", "import_", "Keys from a file that was exported."),
    "can-stop": ("standing", "can_stop", "Whether a node can be stopped."),
    "recover": ("operate", "recover", "Recover slots that lost their majority for good."),
    "begin": ("operate", "begin", "Begin a store at nodes that run."),
    "set-aside": ("operate", "set_aside", "Set one of two stores aside, its data untouched."),
    "adopt-copy": ("operate", "adopt_copy", "Make a node of a copied store another member."),
}
"""By name: the module in this folder, the function, and its line of help."""


class StoreGroup(click.Group):
    """A group that knows its commands' names and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _help = COMMANDS[cmd_name]
        found: click.Command = getattr(
            importlib.import_module(f"chordnet.cli.store.{module}"), function
        )
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            known = ", ".join(COMMANDS)
            raise click.UsageError(f"there is no command 'store {args[0]}'; there are {known}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])
