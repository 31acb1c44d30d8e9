"""Watches, lists of keys and reads from the past, as clients ask (:mod:`chordnet.wire.rpc`)."""

from __future__ import annotations

import msgspec

from chordnet.core.base.outcomes import Revision, StaleEntry
from chordnet.wire.stores import HeldKey


class _Rpc(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    rid: int


class WatchKey(_Rpc, frozen=True, tag=141):
    """Ask for the states of a key, each when it is known here: what there is, and all that come.

    They come as :class:`Revisions` replies with the same ``rid``; :class:`Unfollow` ends it.
    """

    key: str
    since: int | None = None
    """Begin after this version."""


class GetHeldKeys(_Rpc, frozen=True, tag=142):
    """Ask for the keys that the node holds, a page of them at a time."""

    after: str = ""
    """The last key of the page before; "" for the first page."""
    owned: bool = False
    """Only those of slots that the node looks after, as the first live one."""


class Revisions(_Rpc, frozen=True, tag=143):
    """States of a watched key, in the order of their versions."""

    revisions: list[Revision]


class HeldKeysReply(_Rpc, frozen=True, tag=144):
    """Keys that the node holds."""

    keys: list[HeldKey]
    """By slot, and in each slot by the bytes of the key."""
    more: bool
    """Whether there are keys after these."""


class StaleReply(_Rpc, frozen=True, tag=145):
    """What one of the nodes that hold the key has of it."""

    stale: StaleEntry
