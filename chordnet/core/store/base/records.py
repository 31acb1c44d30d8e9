"""Records: what a member keeps of a key.

A record is a promise (no ballot below it is taken any more) and the *content* that was accepted
last, with the ballot under which it was. The content is the whole state of a register: its value,
or a tombstone where it was deleted; a version that grows by one with every write and never goes
back, deletes included; when it expires; and which requests made its last versions.

Those requests are how a write is done once although it is asked for twice. Who got no certain
answer asks again, with the same request and the version *since* which it may have been done. If it
is in the list, it is done. If it is not, and the list reaches back to that version, it is not. If
the list does not reach back, nobody can tell any more, and no clock could.

A record without a value is *dropped* some time after its key was deleted, when nothing older can
come back. What is left of it is in the slot's *floor*, which stands for all keys of which a member
has no record: they count as promised at it, and their next version is above the highest floor of a
majority. So nobody can tell any more which requests made the versions up to the floor.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from chordnet.core.base.limits import MAX_REQUEST_BYTES, MAX_VALUE_BYTES, Count
from chordnet.core.store.base.ballots import NONE, Ballot

MOST_REQUESTS = 16
"""Requests that a record remembers."""


VERSION_BITS = 32
"""Bits that a version has for the writes of one generation; those above count the recoveries."""
EXPIRY = b""
"""The name of the request that buries what has expired; no client's."""
_FAR = 1e300
Finite = Annotated[float, Meta(ge=-_FAR, le=_FAR)]
"""Neither infinite nor no number at all."""


class Applied(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The request that made a version."""

    version: Count
    request: Annotated[bytes, Meta(max_length=MAX_REQUEST_BYTES)]


class Content(msgspec.Struct, frozen=True, array_like=True):
    """The state of a register."""

    value: Annotated[bytes, Meta(max_length=MAX_VALUE_BYTES)] | None
    """None: there is none; a tombstone, if there ever was one."""
    version: Count
    expires: Finite | None
    requests: Annotated[tuple[Applied, ...], Meta(max_length=MOST_REQUESTS)]
    """The newest last."""

    def written(
        self, value: bytes | None, request: bytes, *, expires: float | None = None, floor: int = 0
    ) -> Content:
        """Return what follows when ``request`` writes ``value``.

        :param floor: the next version is above it, too.
        """
        version = max(self.version, floor) + 1
        requests = (*self.requests, Applied(version, request))[-MOST_REQUESTS:]
        return Content(value, version, expires, requests)

    def buried(self, floor: int) -> Content:
        """Return the tombstone that follows when this has expired."""
        return self.written(None, EXPIRY, floor=floor)

    def recovered(self, recoveries: int) -> Content:
        """Return the same with versions above all of earlier generations.

        Writes may have been lost, and their versions must not come to mean something else.
        """
        requests = tuple(
            Applied(_raised(each.version, recoveries), each.request) for each in self.requests
        )
        return Content(self.value, _raised(self.version, recoveries), self.expires, requests)

    def version_of(self, request: bytes) -> int | None:
        """Return the version that ``request`` made; None if it is not among the last ones."""
        return next((each.version for each in self.requests if each.request == request), None)

    def reaches_back(self, since: int, floor: int = 0) -> bool:
        """Return True if every request that made a version after ``since`` is listed.

        :param floor: without a record, requests that made versions up to here may be forgotten.
        """
        # A list has no gaps. What came before it was dropped from it, or with an earlier record.
        oldest = self.requests[0].version if self.requests else max(self.version, floor) + 1
        return oldest <= since + 1


def _raised(version: int, recoveries: int) -> int:
    return (recoveries << VERSION_BITS) + version % (1 << VERSION_BITS)


EMPTY = Content(None, 0, None, ())
"""Of a key that was never written."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What a member keeps of a key."""

    promised: Ballot
    accepted: Ballot
    content: Content


LARGE_BYTES = 1024
"""A value of more bytes is neither sent nor written again where it is already."""


def is_large(record: Record) -> bool:
    """Return True if a record should not be sent or written again without need."""
    return len(record.content.value or b"") > LARGE_BYTES


class Floor(msgspec.Struct, frozen=True, order=True, array_like=True):
    """What holds for every key without a record."""

    promised: Ballot
    version: int

    def raised(self, other: Floor) -> Floor:
        """Return the floor that is at or above both."""
        return Floor(max(self.promised, other.promised), max(self.version, other.version))


GROUND = Floor(NONE, 0)
"""The floor of a member that never dropped a record."""
