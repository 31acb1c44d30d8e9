"""Renews a node's certificate while the node runs.

The node looks from time to time if there is a reason to: half of the certificate's time is over,
the authority has a new root, or the issuer is revoked. Then it asks issuers, one after the other;
if none gives it a certificate, it tries again after a pause that grows. It never stops trying, and
until it has succeeded it says why it has not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.identity import CERTIFICATE, Identity
from chordnet.trust.issuing import Issuer
from chordnet.trust.renewal import renew_at, why_renew
from chordnet.trust.verifying import moment, verify

LOOK_S = 600.0
"""Between two looks. The wall clock may jump, and a host may have slept, so it is not a timer."""
SOON_S = 5.0
"""Within this time after a new bundle has come, at random, so that not all ask at once."""
RETRY_MIN_S = 10.0
RETRY_MAX_S = 3600.0


class Ask(Protocol):
    """Asks issuers for a renewed certificate."""

    def __call__(self) -> Deferred[Identity]: ...


class Renewal:
    """Keeps one certificate fresh.

    :param issuer: returns the node's own issuer; None if it has none.
    :param ask: asks others.
    :param changed: called with an identity that takes the place of the present one.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        credentials: Credentials,
        *,
        issuer: Callable[[], Issuer | None],
        ask: Ask,
        changed: Callable[[Identity], None],
        rng: random.Random,
        journal: Journal,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._credentials = credentials
        self._issuer = issuer
        self._ask = ask
        self._changed = changed
        self._directory = credentials.directory
        self._rng = rng
        self._journal = journal
        self._share = rng.random()
        self._failures = 0
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[Identity] | None = None
        self._read_at = self._stamp()
        self._looked_at = wall()
        self._stopped = False
        self.problem = ""
        """Why the certificate, which should be renewed, is not; empty if all is well."""

    @property
    def due(self) -> float:
        """When the certificate is to be renewed because of its age; POSIX seconds."""
        return renew_at(self._credentials.current(), self._share)

    def start(self) -> None:
        """Look now, and from time to time."""
        self._look()

    def hurry(self) -> None:
        """Look again soon: something has changed."""
        if not self._stopped:
            self._failures = 0
            self._again(self._rng.uniform(0, SOON_S))

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._again(LOOK_S * self._rng.uniform(0.75, 1.25))
        self._reload()
        self._notice_revocations()
        if self._asking is None and why_renew(
            self._credentials.current(), self._wall(), self._share
        ):
            self._renew()

    def _reload(self) -> None:
        """Take the identity over that somebody else has put in the place of the present one."""
        stamp = self._stamp()
        if stamp == self._read_at or self._directory is None:
            return
        self._read_at = stamp
        try:
            new = Identity.load(self._directory)
            present = self._credentials.current()
            if new.chain == present.chain:
                return
            if present.bundle.version > new.bundle.version:
                new = new.with_bundle(present.bundle)
            verify(new.chain, new.bundle, self._wall())
            if new.leaf.until > present.leaf.until:
                self._changed(new)
        except (IdentityError, Untrusted) as error:
            self._journal.warn("did not take a new identity over: {why}", why=str(error))

    def _stamp(self) -> int:
        try:
            return (self._directory / CERTIFICATE).stat().st_mtime_ns if self._directory else 0
        except OSError:
            return 0

    def _notice_revocations(self) -> None:
        """Have connections judged again if a revocation that was made known has begun."""
        since, now = self._looked_at, self._wall()
        self._looked_at = now
        identity = self._credentials.current()
        if any(since < each.start <= now for each in identity.bundle.revoked):
            self._credentials.replace(identity)

    def _renew(self) -> None:
        issuer, identity, now = self._issuer(), self._credentials.current(), self._wall()
        if issuer is not None:
            chain = issuer.renew(identity.key.public_key(), identity.subject, now)
            new = identity.with_chain(chain)
            if not why_renew(new, now, self._share):
                self._given(new)
                return
        # It may be over before this returns, and then nothing is under way any more.
        self._asking = asking = self._ask()
        asking.addCallbacks(self._given, self._not_given)

    def _given(self, identity: Identity) -> None:
        self._asking = None
        why = why_renew(identity, self._wall(), self._share)
        if self._stopped:
            return
        self._failures = 0
        self.problem = ""
        self._changed(identity)
        self._read_at = self._stamp()
        if why:
            # The issuer has no certificate of the new root itself yet, or will soon have none.
            self._failed(f"the certificate that was given has to be renewed as well: {why}")
        else:
            until = moment(identity.subject.until)
            self._journal.info("renewed the certificate, which is now valid until {u}", u=until)

    def _not_given(self, failure: Failure) -> None:
        self._asking = None
        if self._stopped:
            return
        if failure.check(ChordnetError) is None:
            self._journal.failure(NetMetric.TURN_ERRORS, "renewing the certificate", failure)
        self._failed(failure.getErrorMessage())

    def _failed(self, why: str) -> None:
        pause = min(RETRY_MIN_S * 2 ** min(self._failures, 16), RETRY_MAX_S)
        self._failures += 1
        self._again(pause * self._rng.uniform(0.75, 1.25))
        until = moment(self._credentials.current().subject.until)
        self.problem = f"the certificate, valid until {until}, is not renewed: {why}"[:600]
        self._journal.limited(NetMetric.RENEWALS_FAILED, "{problem}", problem=self.problem)
