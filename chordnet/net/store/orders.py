"""What people order a node's store to do: recover slots, begin a store, set one aside.

Each is done because somebody has decided it, never by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    LocalProtocolError,
    NoStore,
)
from chordnet.core.base.limits import MAX_OPERATION_S
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.outcomes import Report, Salvage, Salvages
from chordnet.core.store.base.requests import Recover
from chordnet.net.base.turn import Turn
from chordnet.net.store.keys import NO_STORE
from chordnet.net.store.runner import StoreRunner
from chordnet.wire.stores import SlotRecovery

MOST_SLOTS_AT_ONCE = 64
"""Slots of one order, so that its answer fits into a frame."""
MOST_ORDERS = 16
"""Recoveries that people have ordered at one node and that are under way."""
LEAST_DIGITS = 4
"""Of a store's id, so that no other store is meant."""


class StoreOrders:
    """What can be ordered of one node's store.

    :param store: None if the node keeps no store.
    :param name: the node's.
    :param check_member: raises ``NotInRing`` unless the node is a member of a ring.
    """

    def __init__(
        self, turn: Turn, store: StoreRunner | None, name: str, check_member: Callable[[], None]
    ) -> None:
        self._turn = turn
        self._store = store
        self._name = name
        self._check_member = check_member

    def recover(
        self,
        slots: Sequence[int],
        timeout_s: float,
        done: Callable[[list[SlotRecovery] | ChordnetError], None],
        *,
        accept_loss: bool,
    ) -> None:
        """Recover slots that have lost their majority, or find out what would be lost.

        :raises NoStore: this node keeps no store, its store has stopped, or belongs to none.
        :raises NotInRing: it is not a member of a ring.
        :raises LocalProtocolError: there is no such slot, or too much is asked at once.
        :raises Busy: too many orders are under way.
        """
        store, founding = self._works()
        self._check_member()
        if not 0.0 < timeout_s <= MAX_OPERATION_S or len(slots) > MOST_SLOTS_AT_ONCE:
            raise LocalProtocolError(
                f"at most {MOST_SLOTS_AT_ONCE} slots are recovered at once, within at most"
                f" {MAX_OPERATION_S:.0f} s"
            )
        unknown = [slot for slot in slots if not 0 <= slot < founding.slots]
        if unknown or not slots:
            which = f"slot {unknown[0]}" if unknown else "no slot"
            raise LocalProtocolError(
                f"{which} cannot be recovered; the store has slots 0 to {founding.slots - 1}"
            )
        formation = store.machine.formation
        if formation is not None and len(formation.recoveries.orders) >= MOST_ORDERS:
            raise Busy(f"{MOST_ORDERS} recoveries are under way; retry in a moment")
        asked = Recover(tuple(slots), accept_loss)
        with self._turn:
            store.enquire(asked, timeout_s, lambda ended: done(_recovered(ended)))

    def begin(self, founders: Sequence[str]) -> None:
        """Begin a store with these founders, each of which is to be told the same.

        :raises NoStore: this node keeps no store, or it has stopped.
        :raises LocalProtocolError: it cannot begin one.
        """
        store = self._keeps()
        names = tuple(sorted(founders))
        why_not = store.machine.misfit or store.machine.founders.why_not(names)
        if why_not:
            raise LocalProtocolError(f"no store is begun: {why_not}")
        with self._turn:
            store.post(ev.Begin(names))

    def set_aside(self, formation: str) -> str:
        """Set this node's store aside, and go on with an empty one; return where the old one is.

        :param formation: the store that it belongs to: the first digits of its id.
        :raises NoStore: this node keeps no store, its store has stopped, or belongs to none.
        :raises LocalProtocolError: it belongs to another one.
        :raises StoreFailed: it cannot be moved; this store works no more.
        """
        store, founding = self._works()
        given = formation.lower()
        if len(given) < LEAST_DIGITS or not founding.id.hex().startswith(given):
            raise LocalProtocolError(
                f"{self._name} belongs to the store {founding.id.hex()}, not to '{given[:64]}'"
            )
        with self._turn:
            return store.begin_anew(founding.id)

    def _keeps(self) -> StoreRunner:
        if self._store is None:
            raise NoStore(NO_STORE)
        if self._store.failed:
            raise NoStore(self._store.failed)
        return self._store

    def _works(self) -> tuple[StoreRunner, Founding]:
        store = self._keeps()
        if store.founding is None:
            raise NoStore(store.why_none())
        return store, store.founding


def _recovered(ended: Report | ChordnetError) -> list[SlotRecovery] | ChordnetError:
    if isinstance(ended, ChordnetError):
        return ended
    assert isinstance(ended, Salvages)
    return [_told(each) for each in ended.each]


def _told(salvage: Salvage) -> SlotRecovery:
    present = salvage.configuration
    return SlotRecovery(
        slot=salvage.slot,
        fate=salvage.fate.value,
        generation=present.generation,
        epoch=present.epoch,
        members=[member.node for member in present.members],
        missing=list(salvage.missing),
        left=list(salvage.left),
        behind=salvage.behind,
        keys=salvage.keys,
        written=salvage.written,
    )
