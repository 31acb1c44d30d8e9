"""What a node says to clients of the store and of its own part in it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from chordnet.core.base.errors import NoStore
from chordnet.core.store.base.records import Content
from chordnet.core.store.node.holdings import Holdings, SlotView
from chordnet.net.base.interfaces import KeyStore
from chordnet.net.store.keys import NO_STORE
from chordnet.net.store.runner import StoreRunner
from chordnet.wire.stores import HeldKey, SlotMember, SlotState, StoreState

PAGE_BYTES = 131_072
"""About how many bytes of slots go into one reply; one slot goes in any case."""
KEY_BYTES = 32
"""About how many bytes a key takes in a reply, besides its name."""
ELSEWHERE = "its program keeps its keys in a store of its own"


def store_state(keys: KeyStore | None, first: int = 0) -> tuple[StoreState, bool]:
    """Return what a node knows of the store, and whether there are slots after these.

    :param keys: what reads and writes keys for this node; None if it keeps no store.
    :param first: the first slot to tell of.
    """
    if not isinstance(keys, StoreRunner):
        return _none(NO_STORE if keys is None else ELSEWHERE), False
    machine = keys.machine
    view = machine.view()
    founding, settings = view.founding, machine.settings
    slots, room = list[SlotState](), PAGE_BYTES
    for each in view.slots[max(0, first) :]:
        room -= _size(each)
        if room < 0 and slots:
            break
        slots.append(_slot(each))
    founders = settings.founders if founding is None else [m.node for m in founding.founders]
    state = StoreState(
        formation="" if founding is None else founding.id.hex(),
        reason=keys.why_none(),
        founders=list(founders),
        slot_count=settings.slots if founding is None else founding.slots,
        replicas=settings.replicas if founding is None else founding.replicas,
        store=_hex(view.me.store) if settings.seat else "",
        run=view.run,
        seat=settings.seat,
        vacating=view.vacating,
        seats=view.seats,
        changing=view.changing,
        keys=sum(each.keys for each in view.slots),
        bytes=sum(each.bytes for each in view.slots),
        failed=keys.failed,
        slots=slots,
        deleted=sum(each.deleted for each in view.slots),
    )
    return state, max(0, first) + len(slots) < len(view.slots)


def whole_state(keys: KeyStore | None) -> StoreState:
    """Return what a node knows of the store, with all slots."""
    state, more = store_state(keys)
    while more:
        page, more = store_state(keys, len(state.slots))
        state.slots.extend(page.slots)
    return state


def held_keys(
    keys: KeyStore | None, after: bytes | None, *, owned: bool
) -> tuple[list[HeldKey], bool]:
    """Return the keys that a node holds after one of them, and whether there are more.

    :param keys: what reads and writes keys for this node; None if it keeps no store.
    :param owned: only those of slots that the node looks after.
    :raises NoStore: it keeps none of its own.
    """
    if not isinstance(keys, StoreRunner):
        raise NoStore(NO_STORE if keys is None else ELSEWHERE)
    found, room = list[HeldKey](), PAGE_BYTES
    formation = keys.machine.formation
    if formation is None:
        raise NoStore(keys.why_none())
    arc = frozenset(formation.arc()) if owned else None
    first = 0 if after is None else formation.slots.of(after)
    for slot, key, content in _held(formation.holdings, arc, first, after):
        room -= len(key) + KEY_BYTES
        if room < 0 and found:
            return found, True
        size = len(content.value or b"")
        name = key.decode(errors="backslashreplace")
        found.append(HeldKey(name, content.version, size, content.expires, slot))
    return found, False


def all_held_keys(
    ask: Callable[[str], tuple[list[HeldKey], bool]], limit: int, after: str
) -> list[HeldKey]:
    """Return the keys of all pages, ``limit`` at most; 0 for all.

    :param ask: returns the page after a key, and whether there is more.
    """
    found: list[HeldKey] = []
    more = True
    while more and (not limit or len(found) < limit):
        page, more = ask(found[-1].key if found else after)
        found += page
    return found[:limit] if limit else found


def _none(reason: str) -> StoreState:
    return StoreState("", reason, [], 0, 0, "", 0, False, False, 0, 0, 0, 0, "", [])


def _slot(view: SlotView) -> SlotState:
    present, installed = view.configuration, view.installed
    return SlotState(
        slot=view.slot,
        generation=present.generation,
        epoch=present.epoch,
        members=[SlotMember(each.node, _hex(each.store)) for each in present.members],
        serves=view.serves,
        # What is left of an earlier generation counts for nothing in this one.
        installed=installed[1] if installed and installed[0] == present.generation else None,
        sealed=view.sealed,
        keys=view.keys,
        bytes=view.bytes,
        deleted=view.deleted,
    )


def _size(view: SlotView) -> int:
    return 40 + sum(24 + len(each.node.encode()) for each in view.configuration.members)


def _hex(store: int) -> str:
    return f"{store:016x}"


def _held(
    holdings: Holdings, arc: Container[int] | None, first: int, after: bytes | None
) -> Iterator[tuple[int, bytes, Content]]:
    """Yield (slot, key, content) of the keys with a value on a disk, by slot and key.

    :param arc: the slots that are wanted; None for all.
    :param first: the slot to begin with; there after this key.
    """
    for held in sorted(holdings.served, key=lambda each: each.registers.head.slot):
        slot, records = held.registers.head.slot, held.registers.records
        if slot < first or (arc is not None and slot not in arc):
            continue
        beyond = after if slot == first else None
        for key in sorted(k for k in records if beyond is None or k > beyond):
            content = records[key].content
            if content.value is not None:
                yield slot, key, content
