"""What is wrong with a store, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Iterable

from chordnet.survey.findings import (
    Fact,
    Ref,
    SeveralStores,
    SlotsElsewhere,
    SlotsNotInStep,
    SlotsWithoutMajority,
    StoreNotBegun,
    StoreStopped,
)
from chordnet.survey.store.merged import Slot, Store, names_of


def store_problems(store: Store) -> list[Fact]:
    """Return what keeps keys from being read and written."""
    found: list[Fact] = []
    formations = store.formations
    if not formations and store.founders:
        found.append(StoreNotBegun(store.founders))
    if len(formations) > 1:
        found.append(SeveralStores({key: tuple(nodes) for key, nodes in formations.items()}))
    found += [StoreStopped(node, why) for node, why in store.stopped.items()]
    lost = store.lost
    if lost:
        missing = _each(slot.missing for slot in lost)
        found.append(SlotsWithoutMajority(_numbers(lost), missing, lost[0].words()))
    return found


def store_notes(store: Store) -> list[Fact]:
    """Return what is worth knowing and no fault."""
    found: list[Fact] = []
    moving, misplaced = store.moving, store.misplaced
    if moving:
        nodes = _each((*slot.missing, *slot.behind, *slot.vacating) for slot in moving)
        found.append(SlotsNotInStep(_numbers(moving), nodes, moving[0].words()))
    if misplaced:
        nodes = _each(slot.members for slot in misplaced)
        found.append(SlotsElsewhere(_numbers(misplaced), nodes, elsewhere(misplaced[0])))
    return found


def elsewhere(slot: Slot) -> str:
    """Return who holds a slot instead of whom."""
    instead = [ref for ref in slot.members if ref not in slot.proper]
    missing = [ref for ref in slot.proper if ref not in slot.members]
    return f"slot {slot.number}: {names_of(instead)} instead of {names_of(missing)}"


def _numbers(slots: Iterable[Slot]) -> tuple[int, ...]:
    return tuple(slot.number for slot in slots)


def _each(groups: Iterable[Iterable[Ref]]) -> tuple[Ref, ...]:
    return tuple(dict.fromkeys(ref for group in groups for ref in group))
