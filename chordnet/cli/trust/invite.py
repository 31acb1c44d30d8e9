"""``p2pnet invite``: make a join token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import (
    Command,
    WholeNumber,
    json_option,
    network_option,
    timeout_option,
)
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.naming import format_address, parse_address
from chordnet.draw.phrases import plain
from chordnet.survey.findings import called
from chordnet.survey.trust.judging import day
from chordnet.testbed.actions.context import Testbed

if TYPE_CHECKING:
    from chordnet.testbed.membership.inviting import Invited

TIMEOUT_S = 5.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


class DurationType(click.ParamType):  # type: ignore[type-arg]
    """A time such as ``30m``, ``1h`` or ``7d``."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = _DURATION.fullmatch(str(value))
        if found is None:
            raise click.UsageError(
                f"--expires takes a number and a unit, as in 30m, 1h or 7d, not '{value}'", ctx
            )
        return int(found[1]) * _UNITS[found[2]]


class AddressType(click.ParamType):  # type: ignore[type-arg]
    """``HOST:PORT``."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return format_address(*parse_address(str(value)))
        except ConfigError as problem:
            raise click.UsageError(str(problem), ctx) from None


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet invite --name berlin-1
  p2pnet invite --name-prefix web --uses 10 --expires 7d
  p2pnet invite --role send --address 192.0.2.5:7001
""",
)
@click.option("--name", default="", metavar="NAME", help="The name that the new member gets.")
@click.option(
    "--role",
    type=click.Choice(["peer", "read", "send", "operate"]),
    default="peer",
    show_default=True,
    help="A node, or a client that may read, also send, or also operate.",
)
@click.option(
    "--uses",
    type=WholeNumber(1, 1000),
    default=1,
    show_default=True,
    help="How often the token can be used.",
)
@click.option(
    "--expires",
    type=DurationType(),
    default="1h",
    show_default=True,
    metavar="TIME",
    help="After this time it cannot be used any more: 30m, 1h, 7d.",
)
@click.option(
    "--name-prefix",
    default="",
    metavar="TEXT",
    help="What the new members' names begin with; each gets a suffix.",
)
@click.option(
    "--address",
    "addresses",
    type=AddressType(),
    multiple=True,
    metavar="HOST:PORT",
    help="Where the new member reaches this network; by default what the node advertises.",
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def invite(
    name: str,
    role: str,
    uses: int,
    expires: float,
    name_prefix: str,
    addresses: tuple[str, ...],
    timeout: float,
    as_json: bool,
    network: str,
) -> None:
    """Print a token, with which somebody else becomes a member of a secured network.

    On the other machine a node takes it with `twistd -n chordnode --join TOKEN`, a client with
    `p2pnet join TOKEN`. Whoever has the token can use it, so pass it on as you would a password.
    """
    from chordnet.testbed.membership.inviting import Wanted  # noqa: PLC0415 - loads cryptography
    from chordnet.testbed.membership.inviting import invite as order  # noqa: PLC0415 - the same

    wanted = Wanted(role, name, name_prefix, uses, expires, addresses)

    async def work(testbed: Testbed) -> Invited:
        return await order(testbed, wanted, timeout)

    made = with_testbed(network, work)
    if as_json:
        print_json(invited_json(network, wanted, made))
        return
    print(made.token)
    for line in explained(wanted, made):
        click.echo(plain(line), err=True)


def explained(wanted: Any, made: Invited) -> list[str]:
    """Return what to do with a token, in lines for people."""
    use = "once" if wanted.uses == 1 else f"{wanted.uses} times"
    where = f"{called(made.issuer)} ({', '.join(made.addresses)})"
    command = "twistd -n chordnode --join" if wanted.role == "peer" else "p2pnet join"
    return [
        f"usable {use}, until {day(made.expires)}, at {where}",
        f"on the other machine: {command} TOKEN",
    ]


def invited_json(network: str, wanted: Any, made: Invited) -> dict[str, Any]:
    """Return a token as the JSON document of the command."""
    return {
        "network": network,
        "token": made.token,
        "role": wanted.role,
        "name": wanted.name or None,
        "name_prefix": wanted.prefix or None,
        "uses": wanted.uses,
        "expires": rfc3339(made.expires),
        "issuer": made.issuer,
        "addresses": list(made.addresses),
    }
