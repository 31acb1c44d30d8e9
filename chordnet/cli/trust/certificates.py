"""``p2pnet certificates``: who has which certificate, and until when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.survey.findings import Ref, called
from chordnet.survey.trust.judging import certificate_problems, day
from chordnet.survey.trust.seen import Certificates
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.trust.members import Certified

TIMEOUT_S = 5.0


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet certificates
  p2pnet certificates --json
""",
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def certificates(timeout: float, as_json: bool, network: str) -> int:
    """Show the certificate of every node, and of the clients that are connected.

    Also who issues certificates, which one expires first, and what is revoked. Exit status 1 if
    something is wrong with them.
    """
    from chordnet.testbed.membership import looking  # noqa: PLC0415 - loads cryptography

    async def work(testbed: Testbed) -> Certificates:
        return await looking.certificates(testbed, timeout)

    seen = with_testbed(network, work)
    problems = [each.words() for each in certificate_problems(seen, time.time(), network)]
    if as_json:
        print_json(certificates_json(network, seen, problems))
    else:
        for line in certificate_lines(seen, problems):
            print(plain(line))
    return 1 if problems else 0


def certificate_lines(seen: Certificates, problems: list[str]) -> Iterator[str]:
    """Return what is known of certificates, in lines for people."""
    newest, soonest = seen.newest, seen.soonest
    if newest is None or soonest is None:
        yield "no node answers"
        for ref, why in seen.silent.items():
            yield f"{called(ref)} does not answer: {why}"
        return
    yield (
        f"network {newest.network}: {count(len(newest.roots), 'root')}"
        f" ({', '.join(newest.roots)}), version {newest.bundle}"
    )
    yield f"the first to expire: {called(soonest[0])}, on {day(soonest[1].own.until)}"
    issuers = [
        f"{called(ref)} (until {day(until)})" if until else f"{called(ref)} (does not answer)"
        for ref, until in seen.issuers.items()
    ]
    yield f"issuers: {', '.join(issuers) or 'none'}"
    if newest.revoked:
        yield f"revoked: {', '.join(newest.revoked)}"
    yield ""
    rows = [("who", "role", "valid until", "signed by", "serial")]
    rows += [_row(called(ref), told.own) for ref, told in seen.told.items()]
    rows += [_row(each.name, each) for each in seen.clients()]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        yield "  ".join([*cells, row[4]]).rstrip()
    for ref, why in seen.silent.items():
        yield f"{called(ref)} does not answer: {why}"
    yield from problems


def _row(who: str, each: Certified) -> tuple[str, str, str, str, str]:
    return who, each.role, day(each.until), each.issuer or "root", each.serial


def certificates_json(network: str, seen: Certificates, problems: list[str]) -> dict[str, Any]:
    """Return what is known of certificates as the JSON document of the command."""
    newest, soonest = seen.newest, seen.soonest
    return {
        "network": network,
        "id": newest.network if newest is not None else None,
        "version": newest.bundle if newest is not None else None,
        "roots": newest.roots if newest is not None else [],
        "revoked": newest.revoked if newest is not None else [],
        "soonest": None
        if soonest is None
        else {"node": soonest[0], "until": rfc3339(soonest[1].own.until)},
        "issuers": [
            {"node": ref, "until": rfc3339(until) if until else None}
            for ref, until in seen.issuers.items()
        ],
        "nodes": [
            {
                "node": ref,
                **_certificate_json(told.own),
                "renews_at": rfc3339(told.renews_at),
                "problem": told.problem or None,
                "root": told.root or None,
                "version": told.bundle,
                "invitations": told.invitations,
            }
            for ref, told in seen.told.items()
        ],
        "clients": [_certificate_json(each) for each in seen.clients()],
        "silent": _silent_json(seen.silent),
        "problems": problems,
    }


def _certificate_json(each: Certified) -> dict[str, Any]:
    return {
        "name": each.name,
        "role": each.role,
        "serial": each.serial,
        "since": rfc3339(each.since),
        "until": rfc3339(each.until),
        "issuer": each.issuer or None,
    }


def _silent_json(silent: Any) -> list[dict[str, Ref]]:
    return [{"node": ref, "why": why} for ref, why in silent.items()]
