"""``p2pnet explain-key``: where a key lives, what each member has of it, and what a read makes of
that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click

from chordnet.cli.base.failures import FAILED
from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.cli.store.keys import key_argument
from chordnet.cli.store.look import slot_json, take_store
from chordnet.core.base.errors import ChordnetError
from chordnet.draw.phrases import count, plain
from chordnet.survey.description import NetworkDescription
from chordnet.survey.findings import Ref, called
from chordnet.survey.store.merged import Slot, Store, names_of
from chordnet.survey.store.places import place_of
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.stores import KeyMember, KeyMembers

TIMEOUT_S = 5.0

WHY = {
    "FORMATION": "is of another store",
    "SLOT": "holds nothing of the slot",
    "GENERATION": "is of an earlier generation of the slot",
    "STORE": "has another disk than the one that is meant",
    "MOVED": "knows of later members of the slot",
    "SEALED": "waits for the next members of the slot",
    "NOT_INSTALLED": "has not fetched the slot yet",
}
"""Why a member does not say what it has."""


@attrs.frozen
class Explained:
    """Where a key lives."""

    key: str
    identifier: str
    slot: Slot | None
    """None if there is no store, or nobody says anything of the slot."""
    place: str
    """The first identifier of the slot."""


@attrs.frozen
class Looked:
    """What the members of a key had of it before it was read, and after."""

    asked: int
    """The node that asked them and read the key."""
    before: KeyMembers
    after: KeyMembers
    problem: str = ""
    """Why it could not be read."""

    @property
    def decided(self) -> list[KeyMember]:
        """The members with the same state that are a majority, so that one round was enough."""
        told = [each for each in self.before.members if each.version is not None]
        for each in told:
            same = [other for other in told if other.accepted == each.accepted]
            if 2 * len(same) > len(self.before.members):
                return same
        return []

    @property
    def repaired(self) -> list[tuple[KeyMember, KeyMember]]:
        """Members that have something else after the read, each before and after it."""
        now = {each.node: each for each in self.after.members}
        pairs = [(each, now[each.node]) for each in self.before.members if each.node in now]
        return [
            (old, new)
            for old, new in pairs
            if old.accepted != new.accepted and None not in (old.version, new.version)
        ]


async def look_at_key(testbed: Testbed, number: int, key: str, timeout: float) -> Looked | None:
    """Have a node ask the members of a key before and after it reads it.

    :returns: None if the node cannot ask them.
    """
    try:
        before = await testbed.ask(number, lambda client: client.inspect(key), timeout)
        problem = ""
        try:
            await testbed.ask(number, lambda client: client.get(key, timeout_s=timeout), timeout)
        except ChordnetError as error:
            problem = str(error)
        after = await testbed.ask(number, lambda client: client.inspect(key), timeout)
    except ChordnetError:
        return None
    return Looked(number, before, after, problem)


def explained(network: NetworkDescription, seen: Store, key: str) -> Explained:
    """Return where a key lives."""
    found, space = place_of(network, seen, key), network.space
    known = 0 < seen.slot_count <= space.size
    place = space.hex(found.place) if known else ""
    return Explained(key, space.hex(found.identifier), found.slot, place)


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet explain-key config
  p2pnet explain-key config --json
""",
)
@key_argument
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def explain_key(key: str, timeout: float, as_json: bool, network: str) -> int | None:
    """Explain where KEY lives, what each node that holds it has, and how a read decides.

    The key is read once, by one of the nodes that hold it, which asks the others before and after.
    The exit status is 1 if a majority of them does not answer, or if there is no store.
    """

    async def work(testbed: Testbed) -> tuple[Explained, Looked | None, Names]:
        described, seen = await take_store(testbed, timeout)
        found = explained(described, seen, key)
        looked = None
        asker = _asker(found, seen)
        if asker is not None:
            looked = await look_at_key(testbed, asker, key, timeout)
        return found, looked, Names(described)

    found, looked, names = with_testbed(network, work)
    if as_json:
        print_json(explained_json(found, looked, names))
    else:
        for line in explained_lines(found, looked, names):
            print(plain(line))
    return None if found.slot is not None and found.slot.has_majority else FAILED


def _asker(found: Explained, seen: Store) -> int | None:
    """Return a node to ask: a member that answers, or else any node that belongs to the store."""
    if found.slot is None:
        return None
    members = [ref for ref in found.slot.members if ref not in found.slot.missing]
    others = [ref for ref, state in seen.states.items() if state.formation == seen.formation]
    return next((ref for ref in [*members, *others] if isinstance(ref, int)), None)


def explained_lines(found: Explained, looked: Looked | None, names: Names) -> Iterator[str]:
    """Return where a key lives, in lines for people."""
    yield f"{found.key} has the identifier {found.identifier}"
    slot = found.slot
    if slot is None:
        yield "there is no store that could hold it"
        return
    yield f"which is in slot {slot.number}, from {found.place} on"
    live = [ref for ref in slot.members if ref not in slot.missing]
    yield f"held by {names_of(slot.members)} in epoch {slot.epoch}"
    need = len(slot.members) // 2 + 1
    if slot.has_majority:
        yield (
            f"any node reads and writes it with {need} of {len(slot.members)} members; "
            f"{len(live)} answer{'s' if len(live) == 1 else ''}"
        )
    else:
        yield "it can be neither read nor written now"
    if not slot.in_step:
        yield slot.words()
    if looked is not None:
        yield from looked_lines(looked, names)


def looked_lines(looked: Looked, names: Names) -> Iterator[str]:
    """Return what the members have and what a read made of it, in lines for people."""
    yield f"asked by {called(looked.asked)}:"
    for each in looked.before.members:
        yield f"  {called(names.named(each.node))} {member_words(each)}"
    same = looked.decided
    if looked.problem:
        yield f"a read fails: {looked.problem}"
    elif same:
        yield (
            f"a read takes one round: {names_of(_refs(same, names))} have the same, "
            "which is a majority"
        )
    else:
        yield "a read takes two rounds: no majority has the same, so it has it accepted first"
    for old, new in looked.repaired:
        yield f"{called(names.named(new.node))} went from {_version(old)} to {_version(new)}"


def member_words(each: KeyMember) -> str:
    """Return what one member has, and how long its answer took."""
    if each.after is None:
        return "does not answer"
    if each.version is None:
        return WHY.get(each.why, f"does not say what it has ({each.why})")
    size = "no value" if each.bytes is None else count(each.bytes, "byte")
    text = f"has {_version(each)}, {size}" if each.version else "has never heard of it"
    return f"{text}, after {each.after * 1000:.1f} ms"


def _version(each: KeyMember) -> str:
    return f"version {each.version}"


def _refs(members: list[KeyMember], names: Names) -> list[Ref]:
    return names.all_named(each.node for each in members)


def explained_json(found: Explained, looked: Looked | None, names: Names) -> dict[str, Any]:
    """Return where a key lives as its JSON document."""
    return {
        "key": found.key,
        "id": found.identifier,
        "place": found.place or None,
        "slot": None if found.slot is None else slot_json(found.slot),
        "read": None if looked is None else looked_json(looked, names),
    }


def looked_json(looked: Looked, names: Names) -> dict[str, Any]:
    """Return what the members have and what a read made of it, for a JSON document."""
    return {
        "asked": looked.asked,
        "members": [
            {
                "node": names.named(each.node),
                "seconds": None if each.after is None else round(each.after, 6),
                "version": each.version,
                "accepted": each.accepted or None,
                "bytes": each.bytes,
                "expires": None if each.expires is None else rfc3339(each.expires),
                "why": each.why or None,
            }
            for each in looked.before.members
        ],
        "decided": _refs(looked.decided, names),
        "repaired": [
            {"node": names.named(new.node), "from": old.version, "to": new.version}
            for old, new in looked.repaired
        ],
        "problem": looked.problem or None,
    }
