"""What people order a store to do, as clients ask for it (:mod:`chordnet.wire.rpc`)."""

from __future__ import annotations

import msgspec

from chordnet.core.base.limits import RECOVERY_S
from chordnet.wire.stores import SlotRecovery


class _Rpc(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    rid: int


class RecoverSlots(_Rpc, frozen=True, tag=161):
    """Recover slots that lost their majority for good, out of what is left of them."""

    slots: list[int]
    accept_loss: bool = False
    """Otherwise only say what would be lost."""
    timeout_s: float = RECOVERY_S


class BeginStore(_Rpc, frozen=True, tag=162):
    """Begin a store together with the other founders; ``Done`` is the immediate reply."""

    founders: list[str]
    """The names of all founders, this node's included."""


class SetStoreAside(_Rpc, frozen=True, tag=163):
    """Set the node's store aside, and go on with an empty one."""

    formation: str
    """The store that is meant: at least the first four digits of its id."""


class RecoveryReply(_Rpc, frozen=True, tag=171):
    """What came of the recovery of slots."""

    recoveries: list[SlotRecovery]
    """One for each slot, in order; fewer if the time was up."""


class AsideReply(_Rpc, frozen=True, tag=172):
    """The store is set aside."""

    where: str
    """Where the store is now, for people."""
