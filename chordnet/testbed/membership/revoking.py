"""Revoke a node or a client, by its name or by a serial number."""

from __future__ import annotations

import time

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.findings import Ref
from chordnet.survey.trust.seen import Certificates
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.membership.looking import secured, see
from chordnet.testbed.membership.spreading import load_authority, save_authority, spread
from chordnet.trust.base.errors import Untrusted
from chordnet.trust.base.subjects import line_text

ISSUER_DELAY_S = 600.0
"""How long what a revoked issuer has signed is still believed, so that its owners get others."""


@attrs.frozen
class Revoked:
    """What was revoked, and who knows."""

    what: str
    version: int
    know: tuple[Ref, ...]
    silent: dict[Ref, str]
    issuer_until: float | None
    """If it was an issuer: until when what that has signed is believed."""


async def revoke(
    testbed: Testbed,
    name: str,
    serial: str,
    timeout: float,
    *,
    unseen: bool = False,
    at_once: bool = False,
) -> Revoked:
    """Revoke a name, or the certificate with a serial number and those renewed from it.

    :param name: of a node or a client; empty to go by ``serial`` (hexadecimal).
    :param unseen: also a name that nobody has at the moment.
    :param at_once: also what an issuer has signed.
    :raises TestbedError: the network is not secured, nobody has that name, or not all nodes that
        answer have heard of it in time.
    """
    network = secured(testbed)
    authority = load_authority(testbed)
    observer = testbed.observer(network)
    deadline = testbed.reactor.seconds() + timeout
    now = time.time()
    try:
        seen = await see(testbed, observer, network)
        if name and not unseen:
            _check_known(network, seen, name)
        start = now + ISSUER_DELAY_S if name in authority.bundle.issuers and not at_once else 0.0
        lines = [line_text(int(serial, 16))] if serial else []
        try:
            authority.revoke(now, name=name, lines=lines, start=start)
        except Untrusted as problem:
            raise TestbedError(
                f"{problem}; put a new authority in its place: "
                + testbed.command("rotate-authority")
            ) from problem
        save_authority(testbed, authority)
        after = await spread(testbed, observer, network, authority.bundle, deadline)
        version = authority.bundle.version
        return Revoked(
            name or serial,
            version,
            tuple(ref for ref, told in after.told.items() if told.bundle >= version),
            dict(after.silent),
            start or None,
        )
    finally:
        observer.close()


def _check_known(network: NetworkDescription, seen: Certificates, name: str) -> None:
    """Check that somebody has a name.

    :raises TestbedError: nobody has.
    """
    known = {network.node_name(number) for number in network.numbers}
    known |= {told.own.name for told in seen.told.values()}
    if name not in known | {each.name for each in seen.clients()}:
        raise TestbedError(
            f"nobody called {name!r} is seen in network '{network.name}' now; add --unseen to"
            " revoke the name nevertheless"
        )
