"""What is wrong with a store, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Iterable

from chordnet.survey.findings import (
    Fact,
    Ref,
    SeveralStores,
    SlotsNotInStep,
    SlotsWithoutMajority,
    StoreNotBegun,
    StoreStopped,
)
from chordnet.survey.store.merged import Slot, Store


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
    moving = store.moving
    if not moving:
        return []
    nodes = _each((*slot.missing, *slot.behind, *slot.vacating) for slot in moving)
    return [SlotsNotInStep(_numbers(moving), nodes, moving[0].words())]


def _numbers(slots: Iterable[Slot]) -> tuple[int, ...]:
    return tuple(slot.number for slot in slots)


def _each(groups: Iterable[Iterable[Ref]]) -> tuple[Ref, ...]:
    return tuple(dict.fromkeys(ref for group in groups for ref in group))
