"""Equal parts of states as one object each, so that a search compares them by identity.

Parts of states are deep: a node is a tuple of records of ballots. To hash one takes longer than to
run it. So each is looked up by value once, when it is new, and by identity ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T", bound=Hashable)


class Kept:
    """All parts that were ever seen."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._by_id: dict[int, int] = {}
        self._parts: list[Any] = []
        self._memory: dict[tuple[object, ...], Any] = {}

    def number(self, part: Hashable) -> int:
        """Return the number under which ``part`` is kept."""
        number = self._by_id.get(id(part))
        if number is None:
            number = self._numbers.get(part)
            if number is None:
                number = self._numbers[part] = len(self._parts)
                self._parts.append(part)
                # Kept for ever, so no other object ever has this identity.
                self._by_id[id(part)] = number
        return number

    def at(self, number: int) -> Any:
        """Return the part with this number."""
        return self._parts[number]

    def same(self, part: T) -> T:
        """Return the one object that stands for all parts equal to this one."""
        return cast(T, self._parts[self.number(part)])

    def remembered(self, make: Callable[..., T], *parts: Any) -> T:
        """Return ``make(*parts)``, made once for each case.

        :param parts: of those that are kept, or what lives as long: words, small numbers, None.
        """
        key = (make, *map(id, parts))
        found = self._memory.get(key)
        if found is None:
            found = self._memory[key] = self.same(make(*parts))
        return cast(T, found)
