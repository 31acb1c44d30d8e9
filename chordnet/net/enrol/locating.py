"""Finds the nodes that issue certificates: their names are in the bundle, the ring knows the rest.

An issuer's name has its identifier, so a lookup of that finds where the issuer is, if it runs. What
was found counts for a few seconds, since strangers may ask for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.interfaces import IReactorTime

from chordnet.core.base.errors import ChordnetError
from chordnet.wire.rpc import LookupResult

MOST_SOUGHT = 4
"""Issuers that are looked up at a time, drawn at random."""
FRESH_S = 10.0
"""How long what was found counts."""

Find = Callable[[str, Callable[[LookupResult | ChordnetError], None]], None]
Located = Callable[[Sequence[str]], None]


class Locator:
    """Finds issuers, other than the node itself.

    :param find: looks up the owner of a key.
    :param issuers: returns the names of all issuers.
    :param name: the node's own.
    """

    def __init__(
        self,
        clock: IReactorTime,
        find: Find,
        issuers: Callable[[], Sequence[str]],
        name: str,
        rng: random.Random,
    ) -> None:
        self._clock = clock
        self._find = find
        self._issuers = issuers
        self._name = name
        self._rng = rng
        self._found: list[str] = []
        self._found_at = float("-inf")
        self._missing = 0
        """Lookups under way."""
        self._waiting: list[Located] = []

    def __call__(self, located: Located) -> None:
        """Find issuers; call back with the addresses of those that run."""
        if self._clock.seconds() - self._found_at < FRESH_S:
            located(self._found)
            return
        self._waiting.append(located)
        if len(self._waiting) > 1:
            return
        others = [each for each in self._issuers() if each != self._name]
        sought = self._rng.sample(others, min(MOST_SOUGHT, len(others)))
        self._found = []
        self._missing = 1 + len(sought)
        for each in sought:
            try:
                self._find(each, partial(self._answered, each))
            except ChordnetError:  # not in a ring, or too many lookups are under way
                self._over()
        self._over()

    def _answered(self, name: str, result: LookupResult | ChordnetError) -> None:
        if isinstance(result, LookupResult) and result.owner.name == name:
            self._found.append(result.owner.address)
        self._over()

    def _over(self) -> None:
        self._missing -= 1
        if self._missing:
            return
        if self._found:
            self._found_at = self._clock.seconds()
        waiting, self._waiting = self._waiting, []
        for located in waiting:
            located(self._found)
