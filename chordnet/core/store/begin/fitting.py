"""Whether a disk is one that a node may take part in the store with."""

from __future__ import annotations

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.begin.settings import StoreSettings


def misfit(settings: StoreSettings, me: Member, kept: Kept) -> str:
    """Return why a node may not take part in the store with this disk; empty if it may.

    What it would say of its formation or its vote would be wrong in its own mouth, and the others
    would take it for faulty.
    """
    for founding in (kept.founding, kept.vote):
        if founding is None:
            continue
        store = f"the store {founding.id.hex()}"
        if (founding.network, founding.bits) != (settings.network, settings.bits):
            return (
                f"this disk is of {store}, for the network {founding.network} of {founding.bits}"
                f" bits, and this node was started for the network {settings.network} of"
                f" {settings.bits} bits: it keeps out of the store; start it as before, or with an"
                " empty store"
            )
        for member in founding.founders:
            if member.store == me.store and me not in founding.founders:
                return (
                    f"this disk is that of {member.node} in {store}, and this node is called"
                    f" {me.node}: it keeps out of the store; start it under that name, or with an"
                    " empty store"
                )
    return ""
