"""Why a certificate is not believed, and what is wrong with the files that hold one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chordnet.core.base.errors import ChordnetError, ConfigError

if TYPE_CHECKING:
    from chordnet.trust.base.subjects import Subject

FOREIGN = "foreign"
EXPIRED = "expired"
NOT_YET = "not-yet"
REVOKED = "revoked"
MALFORMED = "malformed"
CHAIN = "chain"
ROLE = "role"

CODES = frozenset({FOREIGN, EXPIRED, NOT_YET, REVOKED, MALFORMED, CHAIN, ROLE})


class Untrusted(ChordnetError):
    """A certificate, or what it should vouch for, is not believed; the text says why.

    :param code: one of :data:`CODES`, for programs.
    :param subject: whom the certificate names, if its signatures are right nevertheless.
    """

    def __init__(self, code: str, text: str, subject: Subject | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.subject = subject


class Refusal(ChordnetError):
    """An issuer gives no certificate; the text says why, to whoever asked.

    :param code: ``invitation`` or ``certificate``, for programs.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class IdentityError(ConfigError):
    """A file of an identity or of an authority cannot be used; the text says what to do."""
