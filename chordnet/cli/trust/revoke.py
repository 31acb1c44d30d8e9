"""``p2pnet revoke``: believe a member no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.session import network_home, with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.survey.findings import called
from chordnet.survey.trust.judging import day
from chordnet.testbed.actions.context import Testbed

if TYPE_CHECKING:
    from chordnet.testbed.membership.revoking import Revoked

TIMEOUT_S = 15.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet revoke 5
  p2pnet revoke berlin-1
  p2pnet revoke --serial 6b49d2001f2e3d4c5b6a79887766554433221
""",
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--serial", metavar="HEX", help="One certificate and its renewals, not a name.")
@click.option("--unseen", is_flag=True, help="Also a name that nobody has at the moment.")
@click.option("--now", "at_once", is_flag=True, help="Also at once what an issuer has signed.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def revoke(
    name: str | None,
    serial: str | None,
    unseen: bool,
    at_once: bool,
    timeout: float,
    as_json: bool,
    network: str,
) -> int:
    """Revoke the certificates of NAME, a node or a client: no node of the network believes it.

    Its connections are cut, and it cannot renew its certificate. NAME is a name, or the number of a
    node; certificates that the name is given later are believed. If it issues certificates, what it
    has signed is believed for ten more minutes, so that the others get new ones. Exit status 1 if a
    node does not answer, which then hears of it from the others.
    """
    name = _name(network, name, serial)
    from chordnet.testbed.membership.revoking import (  # noqa: PLC0415 - loads cryptography
        revoke as order,
    )

    async def work(testbed: Testbed) -> Revoked:
        return await order(testbed, name, serial or "", timeout, unseen=unseen, at_once=at_once)

    done = with_testbed(network, work)
    if as_json:
        print_json(revoked_json(network, done))
    else:
        for line in revoked_lines(done):
            print(plain(line))
    return 1 if done.silent else 0


def _name(network: str, name: str | None, serial: str | None) -> str:
    """Return the name that is meant; empty if a serial number is."""
    if (name is None) == (serial is None):
        raise click.UsageError("give NAME, or --serial")
    if serial is not None:
        if not 23 <= len(serial) <= 40 or set(serial.lower()) - set("0123456789abcdef"):
            raise click.UsageError(
                "--serial takes a certificate's serial number, as `p2pnet certificates` shows it"
            )
        return ""
    assert name is not None
    description = network_home(network).load()
    if description is not None and name.isdecimal() and int(name) in description.numbers:
        return description.node_name(int(name))
    return name


def revoked_lines(done: Revoked) -> Iterator[str]:
    """Return what was revoked, in lines for people."""
    yield f"{done.what} is revoked; {count(len(done.know), 'node')} know, version {done.version}"
    if done.issuer_until is not None:
        yield f"what it has signed as an issuer is believed until {day(done.issuer_until)}"
    for ref, why in done.silent.items():
        yield f"{called(ref)} does not answer, and hears of it from the others: {why}"


def revoked_json(network: str, done: Revoked) -> dict[str, Any]:
    """Return what was revoked as the JSON document of the command."""
    return {
        "network": network,
        "revoked": done.what,
        "version": done.version,
        "know": list(done.know),
        "silent": [{"node": ref, "why": why} for ref, why in done.silent.items()],
        "issuer_until": rfc3339(done.issuer_until) if done.issuer_until is not None else None,
    }
