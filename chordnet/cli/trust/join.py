"""``p2pnet join``: become a client of a secured network with a token."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.words import Command, json_option
from chordnet.draw.phrases import plain
from chordnet.survey.errors import TestbedError
from chordnet.survey.trust.judging import day
from chordnet.testbed.base.home import home_directory

if TYPE_CHECKING:
    from chordnet.net.enrol.joining import Member

IDENTITIES = "identities"


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet join chordnet1-tevqsy3p...
  p2pnet join chordnet1-tevqsy3p... --identity ~/chordnet-identity
""",
)
@click.argument("token", metavar="TOKEN")
@click.option("--name", default="", metavar="NAME", help="The name to ask for.")
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the identity is kept.  [default: identities/ in CHORDNET_HOME]",
)
@json_option
def join(token: str, name: str, identity: Path | None, as_json: bool) -> None:
    """Become a client of a secured network with a TOKEN from `p2pnet invite --role ...`.

    Programs on this machine find the identity by themselves. A node joins with `twistd -n
    chordnode --join TOKEN` instead.
    """
    member = join_here(token, name, identity)
    if as_json:
        print_json(joined_json(member))
        return
    subject = member.identity.subject
    print(
        plain(
            f"{subject.name} may {subject.role.value} in network {member.identity.network}, until"
            f" {day(subject.until)}; the identity is in {member.directory}"
        )
    )


def join_here(token: str, name: str, directory: Path | None) -> Member:
    """Return the client that a token makes of the user.

    :param directory: where the identity is kept; None: where programs look for it.
    :raises ChordnetError: the token is refused, or there is an identity already.
    """
    from chordnet.net.enrol.joining import become_member  # noqa: PLC0415 - loads cryptography

    if directory is not None:
        return become_member(token, directory.absolute(), name, peer=False)
    kept = home_directory(os.environ) / IDENTITIES
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Its place is called after the network, which is not known before.
    aside = Path(tempfile.mkdtemp(prefix=".joining-", dir=kept))
    try:
        member = become_member(token, aside, name, peer=False)
        target = kept / member.identity.network
        if os.path.lexists(target):
            raise TestbedError(
                f"there is an identity for this network already, in {target}; to keep both, name"
                " another place with --identity, and a new token"
            )
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return attrs.evolve(member, directory=target)


def joined_json(member: Member) -> dict[str, Any]:
    """Return the new client as the JSON document of the command."""
    subject = member.identity.subject
    return {
        "network_id": subject.network,
        "network": member.told.ring,
        "name": subject.name,
        "role": subject.role.value,
        "until": rfc3339(subject.until),
        "identity": str(member.directory),
        "addresses": member.told.addresses,
    }
