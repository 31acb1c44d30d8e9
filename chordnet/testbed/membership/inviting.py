"""Have a node of a secured network make a join token."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from chordnet.core.base.errors import NotIssuer
from chordnet.survey.errors import TestbedError
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.membership.looking import secured
from chordnet.trust.tokens import read_token
from chordnet.wire.trust.members import InviteReply


@attrs.frozen
class Wanted:
    """What an invitation is to allow."""

    role: str = "peer"
    name: str = ""
    prefix: str = ""
    uses: int = 1
    lifetime_s: float = 3600.0
    addresses: Sequence[str] = ()
    """Where newcomers reach the issuer; empty for the address that it advertises."""


@attrs.frozen
class Invited:
    """A token that was made."""

    token: str
    expires: float
    issuer: int
    """The node that has made it, and where it has to be used."""
    addresses: tuple[str, ...]


async def invite(testbed: Testbed, wanted: Wanted, timeout: float) -> Invited:
    """Have the first node that can make a token.

    :param timeout: seconds that a node may take.
    :raises TestbedError: the network is not secured, or none of its nodes makes one.
    :raises ChordnetError: such an invitation cannot be given.
    """
    network = secured(testbed)
    problems = list[str]()
    for number in sorted(await testbed.running(network)):
        try:
            made: InviteReply = await testbed.ask(
                number,
                lambda client: client.membership.invite(
                    wanted.role,
                    name=wanted.name,
                    prefix=wanted.prefix,
                    uses=wanted.uses,
                    lifetime_s=wanted.lifetime_s,
                ),
                timeout,
            )
        except (NotIssuer, TestbedError) as problem:
            problems.append(str(problem))
        else:
            token = read_token(made.token)
            if wanted.addresses:
                token = attrs.evolve(token, addresses=tuple(wanted.addresses))
            return Invited(str(token), made.expires, number, token.addresses)
    raise TestbedError(f"no node makes a token: {problems[0] if problems else 'none runs'}")
