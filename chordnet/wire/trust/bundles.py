"""How nodes keep each other's roots and revocations up to date, on secured connections alone.

Both ends say which version they have when the connection is made. The one with the higher version
sends it, and whoever takes one over sends it on to everybody it is connected with.
"""

from __future__ import annotations

import msgspec


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


class BundleVersion(_Message, frozen=True, tag=64):
    """This node has the bundle of this version."""

    version: int


class BundleText(_Message, frozen=True, tag=65):
    """A bundle: roots and revocations, signed by a root."""

    version: int
    """The same as in the bundle, so that nobody reads one that it has."""
    bundle: bytes


BundleMessage = BundleVersion | BundleText
