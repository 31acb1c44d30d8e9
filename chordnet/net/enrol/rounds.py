"""Whom to ask for a certificate next, and what to say if nobody gives one."""

from __future__ import annotations

from collections.abc import Sequence

from chordnet.core.base.errors import ChordnetError, ConnectFailed
from chordnet.trust.base.errors import Refusal, Untrusted

MOST_ASKED = 12
"""Addresses that are asked in one attempt, those included that others have named."""


class NobodyIssues(ConnectFailed):
    """No issuer has given a certificate; the text says what each address has answered."""


class Referred(ChordnetError):
    """The node issues no certificates, but these do."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__("it issues no certificates")
        self.addresses = addresses


class Round:
    """One attempt: each address is asked once.

    :param addresses: in the order in which they are asked.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._waiting = list(dict.fromkeys(addresses))
        self._asked: list[str] = []
        self._problems: list[str] = []
        self._final: ChordnetError | None = None

    def next(self) -> str | None:
        """Return the address to ask next; None if all were asked."""
        if not self._waiting or len(self._asked) >= MOST_ASKED:
            return None
        self._asked.append(self._waiting.pop(0))
        return self._asked[-1]

    def failed(self, error: ChordnetError) -> None:
        """Note why the address that was asked last gives no certificate."""
        self._problems.append(f"{self._asked[-1]}: {error}")
        if isinstance(error, Referred):
            seen = {*self._asked, *self._waiting}
            named = [each for each in error.addresses if each not in seen]
            self._waiting = named + self._waiting  # they are issuers, and the others may not be
        elif isinstance(error, Refusal | Untrusted) and self._final is None:
            self._final = error

    def verdict(self) -> ChordnetError:
        """Return why there is no certificate: what an issuer says counts most."""
        if self._final is not None:
            return self._final
        return NobodyIssues("; ".join(self._problems) or "no node is known to ask")
