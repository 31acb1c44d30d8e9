"""What the store does because it goes wrong without; for teaching, and to test the search.

``python -m chordnet.sim.slots --without NAME`` finds what goes wrong. A store that is to keep
anything keeps them all.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class StoreSafeguards:
    """The rules that can be switched off."""

    seal: bool = True
    """Who has voted on the next configuration answers for no key in the present one."""
    promise_on_disk: bool = True
    """A promise is on disk before it is answered; otherwise a crash forgets it."""
    store_id: bool = True
    """A member is a disk; otherwise a node that lost its disk is the member that it was."""
    second_phase: bool = True
    """A reader that finds several ballots writes the highest back before it tells of it."""
    own_epoch: bool = True
    """A majority that names the same ballot is believed if the ballot is of the epoch asked in;
    otherwise a reader may be told of what was never confirmed, and is gone for the next."""
    written_conflict: bool = True
    """A write that has sent an accept has what it found accepted, too, before it says that it is a
    conflict; otherwise a later coordinator may find that accept, and carry it on."""
    following_promised: bool = True
    """A coordinator writes in one round only under a ballot that a majority has promised it
    together with what it accepted last; otherwise under any."""
    reserved_unknown: bool = True
    """A coordinator writes a new key in one round only if nobody of the majority that has promised
    it the slot's new keys had a record of it; otherwise any key."""
    installed_first: bool = True
    """A member answers in an epoch only once it has installed it; otherwise at once."""
    whole_state: bool = True
    """Installing replaces all records; otherwise it only adds the keys that are missing."""
    most_clocks: bool = True
    """What expires is over when the clocks of a majority say so; otherwise when one does."""
    every_member: bool = True
    """A tombstone is dropped when every member has it; otherwise when a majority has."""
    floor: bool = True
    """A member that drops a record keeps its promise and its version as the floor of the slot."""
    claims_checked: bool = True
    """What a node says of a slot that is no member of it is checked with the members first."""
    asked_first: bool = True
    """Disks are proposed as members if they have just said that they are there; otherwise if they
    were heard of lately. Without, no answer is wrong, but a slot can be lost."""
