"""``p2pnet renew``: renew the certificate of a client, or of a node that does not run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.words import Command, json_option
from chordnet.cli.trust.invite import AddressType
from chordnet.draw.phrases import plain
from chordnet.survey.errors import TestbedError
from chordnet.survey.trust.judging import day

if TYPE_CHECKING:
    from chordnet.trust.identity import Identity


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet renew /etc/my-program/identity
  p2pnet renew chordnode-identity --address 192.0.2.5:7001
""",
)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--address",
    "addresses",
    type=AddressType(),
    multiple=True,
    metavar="HOST:PORT",
    help="A node to ask; by default those that its token named.",
)
@json_option
def renew(directory: Path, addresses: tuple[str, ...], as_json: bool) -> None:
    """Renew the certificate of the identity in DIR, if half of its time is over.

    Nodes that run renew theirs by themselves. A program that is a client, on a machine without the
    network's authority, has this run once a week or so.
    """
    identity, renewed = renew_now(directory, addresses)
    if as_json:
        print_json(renewed_json(directory, identity, renewed=renewed))
        return
    subject = identity.subject
    done = "renewed" if renewed else "not renewed yet, since half of its time is not over"
    print(plain(f"{subject.name}: {done}; valid until {day(subject.until)}"))


def renew_now(directory: Path, addresses: tuple[str, ...]) -> tuple[Identity, bool]:
    """Return the identity in a directory, and whether it was renewed just now.

    :raises ChordnetError: it should be renewed, and nobody does it.
    """
    from chordnet.net.enrol.joining import load_told, renew_here  # noqa: PLC0415 - cryptography
    from chordnet.trust.identity import Identity  # noqa: PLC0415 - the same
    from chordnet.trust.renewal import why_renew  # noqa: PLC0415 - the same

    identity = Identity.load(directory)
    if not why_renew(identity, time.time(), 0.0):
        return identity, False
    told = load_told(directory)
    asked = addresses or tuple(told.addresses if told is not None else ())
    if not asked:
        raise TestbedError(f"{directory} does not say whom to ask; name a node with --address")
    return renew_here(identity, directory, asked), True


def renewed_json(directory: Path, identity: Identity, *, renewed: bool) -> dict[str, Any]:
    """Return the identity as the JSON document of the command."""
    subject = identity.subject
    return {
        "identity": str(directory),
        "name": subject.name,
        "role": subject.role.value,
        "renewed": renewed,
        "until": rfc3339(subject.until),
    }
