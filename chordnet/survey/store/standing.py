"""What is to be said of a node that others cannot do without."""

from __future__ import annotations

from chordnet.survey.findings import called
from chordnet.survey.store.merged import names_of
from chordnet.survey.verdict import Names
from chordnet.wire.stores import SlotStanding, StoreStanding


def at_risk(number: int, found: StoreStanding) -> str:
    """Return how many slots would be without a majority if the node stopped."""
    some = f"{found.at_risk} of the {found.held} slots of {called(number)}"
    return f"{some} would be unavailable without it"


def slot_words(slot: SlotStanding, number: int, names: Names) -> str:
    """Return ``slot 63: 1 of 3 members would answer; Node 9 does not answer now``.

    :param number: the node that is to be stopped.
    """
    members, leaving = names.all_named(slot.members), names.all_named(slot.leaving)
    answering = names.all_named(slot.answering)
    text = f"slot {slot.slot}: {len(answering)} of {len(members)} members would answer"
    silent = [ref for ref in members if ref not in (number, *answering, *leaving)]
    if silent:
        text += f"; {names_of(silent)} {'does' if len(silent) == 1 else 'do'} not answer now"
    if leaving:
        text += f"; {names_of(leaving)} {'is' if len(leaving) == 1 else 'are'} stopping"
    return text
