"""Whether a node is ready: a member of a ring that has what it needs of the store.

A ready node is in a ring, both its neighbours have accepted it, and its disk has installed the
newest epoch of every slot that names it. What it cannot change does not hold it up: a slot without
a majority waits for other nodes, and a network without a store has none to wait for. Such things
are told beside the answer. A node that was given peers and has met none is not ready; one that was
given none begins a ring, and is ready alone.
"""

from __future__ import annotations

import attrs

from chordnet.core.base.messages import Status
from chordnet.wire.rpc import NodeStatus
from chordnet.wire.stores import SlotState, StoreState


@attrs.frozen
class Readiness:
    """If a node is ready, and why not."""

    reasons: tuple[str, ...]
    """What it waits for, in words; empty if it is ready."""
    notes: tuple[str, ...]
    """What is wrong elsewhere, and does not hold it up."""

    @property
    def ready(self) -> bool:
        """Whether it waits for nothing."""
        return not self.reasons


def readiness(status: NodeStatus, store: StoreState, *, given_peers: bool) -> Readiness:
    """Return if a node is ready.

    :param status: what the node says of itself.
    :param store: what it says of its store.
    :param given_peers: whether it was told other nodes to join through.
    """
    alone = not status.successors
    reasons, notes = list[str](), list[str]()
    if status.state != Status.ACTIVE.name.lower():
        reasons.append(f"the node is {status.state}{f': {status.reason}' if status.reason else ''}")
    elif not status.joined:
        reasons.append("its neighbours have not both accepted it yet")
    elif alone and given_peers:
        reasons.append("it has met no other node, though it was given peers")
    elif alone:
        notes.append("no other node is in its ring")
    if store.failed:
        reasons.append(f"its store has stopped: {store.failed}")
    elif store.formation:
        _judge_slots(store, status.node.name, reasons, notes)
    elif store.reason:
        notes.append(f"no store: {store.reason}")
    return Readiness(tuple(reasons), tuple(notes))


def _judge_slots(store: StoreState, name: str, reasons: list[str], notes: list[str]) -> None:
    own = [slot for slot in store.slots if any(m.node == name for m in slot.members)]
    serving = [slot for slot in own if slot.serves]
    waiting = [slot for slot in serving if not _has(slot, name, store.store)]
    former = [slot for slot in waiting if not _names(slot, name, store.store)]
    if former:
        reasons.append(f"{_slots(len(former))} still expected on a disk that the node had before")
    if len(waiting) > len(former):
        reasons.append(f"{_slots(len(waiting) - len(former))} being copied to it")
    silent = len(own) - len(serving)
    if silent:
        notes.append(f"{_slots(silent)} without a majority as far as it knows")


def _names(slot: SlotState, name: str, store: str) -> bool:
    return any((member.node, member.store) == (name, store) for member in slot.members)


def _has(slot: SlotState, name: str, store: str) -> bool:
    return _names(slot, name, store) and slot.installed == slot.epoch


def _slots(number: int) -> str:
    return "1 slot is" if number == 1 else f"{number} slots are"
