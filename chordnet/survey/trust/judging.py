"""What is wrong with the certificates of a network, and what is worth knowing of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from chordnet.survey.errors import command
from chordnet.survey.findings import Fact, OfCertificates, called
from chordnet.survey.trust.seen import Certificates, is_revoked

DAY: Final = 86_400.0
LATE: Final = 7 * DAY
"""A certificate that is renewed in time never has so little time left."""
ISSUER_LATE: Final = 60 * DAY
CLOCK_NOTE_S: Final = 60.0
CLOCK_PROBLEM_S: Final = 1800.0
"""A certificate begins an hour before it is made; a clock that is
further behind refuses it."""


def certificate_problems(seen: Certificates, now: float, network: str) -> list[Fact]:
    """Return what keeps members from being believed, or will.

    :param now: this machine's wall clock, in seconds since 1970.
    :param network: the network's name, for the commands that mend something.
    """
    return list(_problems(seen, now, network))


def _problems(seen: Certificates, now: float, network: str) -> Iterator[OfCertificates]:
    newest = seen.newest
    revoked = frozenset(newest.revoked if newest is not None else ())
    for ref, told in seen.told.items():
        if is_revoked(told.own, revoked) and newest is not None and told.bundle < newest.bundle:
            text = f"{called(ref)} is revoked and runs, cut off from the others; stop it"
            yield OfCertificates((ref,), "revoked", text)
        elif told.problem:
            yield OfCertificates((ref,), "renewal", f"{called(ref)}: {told.problem}")
        elif told.own.until < now + LATE:
            text = f"{called(ref)}: its certificate expires on {day(told.own.until)}"
            yield OfCertificates((ref,), "expiry", f"{text}, and is not renewed")
    soonest = seen.soonest
    if soonest is not None and not seen.issuing:
        who = ", ".join(map(called, seen.issuers)) or "the network has none"
        yield OfCertificates(
            tuple(seen.issuers),
            "issuers",
            f"no issuer answers ({who}), so no certificate is renewed; the first one expires on"
            f" {day(soonest[1].own.until)}",
        )
    for ref, until in seen.issuers.items():
        if until is not None and until < now + ISSUER_LATE:
            yield OfCertificates(
                (ref,),
                "issuers",
                f"{called(ref)} can issue certificates until {day(until)} only; run"
                f" {command('rotate-authority', network)}",
            )
    for ref, ahead in seen.off.items():
        if abs(ahead) > CLOCK_PROBLEM_S:
            yield OfCertificates((ref,), "clock", f"{called(ref)}: {_clock(ahead)}; set the clocks")


def certificate_notes(seen: Certificates, now: float, network: str) -> list[Fact]:
    """Return what is worth knowing and no fault; see :func:`certificate_problems`."""
    return list(_notes(seen, network))


def _notes(seen: Certificates, network: str) -> Iterator[OfCertificates]:
    soonest, newest = seen.soonest, seen.newest
    if soonest is None or newest is None:
        return
    ref, told = soonest
    yield OfCertificates(
        (ref,),
        "expiry",
        f"certificates: the first to expire is that of {called(ref)}, on {day(told.own.until)};"
        f" it is renewed from {day(told.renews_at)} on",
    )
    if seen.issuing:
        for issuer, until in seen.issuers.items():
            if until is None:
                text = f"{called(issuer)}, an issuer of certificates, does not answer"
                yield OfCertificates((issuer,), "issuers", text)
    behind = tuple(each for each, told in seen.told.items() if told.bundle < newest.bundle)
    if behind:
        who = ", ".join(map(called, behind[:4]))
        yield OfCertificates(behind, "bundle", f"roots and revocations are not the newest at {who}")
    if len(newest.roots) > 1:
        yield OfCertificates(
            (),
            "rotation",
            "a new root takes the place of the old one; to go on with it:"
            f" {command('rotate-authority', network)}",
        )
    for each, ahead in seen.off.items():
        if CLOCK_NOTE_S < abs(ahead) <= CLOCK_PROBLEM_S:
            yield OfCertificates((each,), "clock", f"{called(each)}: {_clock(ahead)}")


def _clock(ahead: float) -> str:
    side = "ahead of" if ahead > 0 else "behind"
    return f"its clock is {abs(ahead) / 60:,.0f} min {side} this machine's"


def day(moment: float) -> str:
    """Return a date for people, in UTC; a time that no calendar has is shown as a number."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f} s"
