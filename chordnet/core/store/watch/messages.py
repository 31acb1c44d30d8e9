"""What nodes say to each other about watches, and about reads from the past.

None of it decides anything. A hint makes its receiver read the key, and what is told to a client is
what that read has found; so a message that is lost, late, repeated or false costs a read or some
seconds, and never a false revision. That is why only the formation is named.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from chordnet.core.store.base.messages import page
from chordnet.core.store.base.records import Content

WATCHED_IN_ONE = 256
"""Keys in one ``Watch`` or ``Stirred``."""


class Aside(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base class."""

    formation: bytes


class Watch(Aside, frozen=True):
    """The sender watches these keys and knows these versions: say when there are later ones."""

    keys: tuple[tuple[bytes, int], ...]


class Stirred(Aside, frozen=True):
    """These keys were written, up to these versions: accepted here, and perhaps not confirmed."""

    keys: tuple[tuple[bytes, int], ...]


class Peek(Aside, frozen=True):
    """Say what you have of a key, however old that is."""

    rid: int
    key: bytes


class Peeked(Aside, frozen=True):
    """Answer to ``Peek``."""

    rid: int
    epoch: int
    """Of the sender's installed configuration; 0 if it does not hold the key's slot."""
    content: Content
    age_s: float
    """How long ago it heard from a majority of the members; below 0: not in this run."""


AsideMessage = Watch | Stirred | Peek | Peeked


def in_pages(keys: list[tuple[bytes, int]]) -> Iterator[tuple[tuple[bytes, int], ...]]:
    """Yield keys and versions in parts that fit into one message each."""
    done = 0
    while done < len(keys):
        part = page(keys[done:], WATCHED_IN_ONE)
        yield part
        done += len(part)
