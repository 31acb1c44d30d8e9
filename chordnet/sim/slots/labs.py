"""Labs: one rule of the store is switched off, and the search finds what goes wrong without it.

Each takes a few seconds. With the rule on, the same search sees every reachable state, or as many
as a lesson has time for, and nothing is wrong in any.
"""

from __future__ import annotations

import attrs

from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.slots.plan import VISIBLE, SlotPlan, jobs

ENOUGH = 150_000
"""With the rule on, a search ends after so many states."""


@attrs.frozen(kw_only=True)
class Lab:
    """One rule, switched off."""

    name: str
    sees: str
    """What a client sees."""
    rule: str
    """The safeguard that is off."""
    says: str
    """The rule, in words."""
    jobs: str
    nodes: int = 3
    members: int = 3
    attempts: int = 1
    crashes: int = 0
    losses: int = 0
    clocks: int = 0
    one_round: bool = False
    ask: str
    """A question for a class."""

    def plan(self, *, on: bool) -> SlotPlan:
        """Return the search.

        :param on: with the rule; then all properties are checked, and not only what clients see.
        """
        guards = StoreSafeguards() if on else StoreSafeguards(**{self.rule: False})
        found = SlotPlan(
            jobs=jobs(self.jobs),
            nodes=self.nodes,
            members=self.members,
            attempts=self.attempts,
            crashes=self.crashes,
            losses=self.losses,
            clocks=self.clocks,
            one_round=self.one_round,
            safeguards=guards,
        )
        return attrs.evolve(found, max_states=ENOUGH) if on else attrs.evolve(found, wanted=VISIBLE)

    @property
    def command(self) -> str:
        """The words after ``python -m chordnet.sim.slots``, the rule's switch included."""
        given = attrs.asdict(self)
        numbers = [field for field in attrs.fields(Lab) if type(field.default) is int]
        options = [
            f"--{field.name} {given[field.name]}"
            for field in numbers
            if given[field.name] != field.default
        ]
        options += ["--one-round"] if self.one_round else []
        return " ".join([self.jobs, *options, f"--without {self.rule}"])


_ALL = (
    Lab(
        name="stale-read",
        sees="the second of two readers sees something older than the first",
        rule="second_phase",
        says="A reader that finds several ballots has the highest accepted by a majority before it "
        "tells of it.",
        jobs="put@A,get@B,get@C",
        ask="Both readers asked a majority. Why is that not enough?",
    ),
    Lab(
        name="two-holders",
        sees="two clients are told that they have taken the same lock",
        rule="promise_on_disk",
        says="A promise is on disk before it is answered.",
        jobs="create@A,create@C",
        crashes=1,
        ask="B is the only one that restarts, and it loses nothing that it ever accepted. What has "
        "it forgotten?",
    ),
    Lab(
        name="written-over",
        sees="two clients are told that they have written the same version",
        rule="following_promised",
        says="A coordinator writes in one round only under a ballot that a majority has promised "
        "it together with what it accepted last.",
        jobs="put@A/AB,put@B,put@A",
        one_round=True,
        ask="A has written before, and asks nobody what has happened since. Who ought to have "
        "told it?",
    ),
    Lab(
        name="known-key",
        sees="two clients are told that they have written the same version of a new key",
        rule="reserved_unknown",
        says="A coordinator writes a new key in one round only if nobody of the majority that has "
        "promised it the slot's new keys had a record of it.",
        jobs="put@A/AB,reserve@B,reserve@B,put@B",
        ask="A and B have promised B all new keys. What should each have said of this one?",
    ),
    Lab(
        name="lost-write",
        sees="a confirmed write is gone",
        rule="store_id",
        says="A member is a disk, not a name: a node that lost its disk comes back as another.",
        jobs="put@A/AC,get@B",
        losses=1,
        ask="One disk of three was lost, and the write was on two. Where is the majority that no "
        "longer has it?",
    ),
    Lab(
        name="old-members",
        sees="old members confirm a write that the new ones lack",
        rule="seal",
        says="Who has voted on the next members answers for no key any more.",
        jobs="put@A,get@B,change@A:AB",
        nodes=2,
        members=1,
        ask="At which step ought A to have refused, and what would its client have been told?",
    ),
    Lab(
        name="new-members",
        sees="new members know nothing of a confirmed write",
        rule="installed_first",
        says="A member answers in an epoch only once it has installed it.",
        jobs="put@A/AB,get@D,change@B:AD",
        nodes=4,
        ask="Two of the three members were there before and after. Why did they not know better?",
    ),
    Lab(
        name="resurrection",
        sees="a deleted value is back",
        rule="whole_state",
        says="Installing an epoch replaces all that a member has of the slot.",
        jobs="put@A/ABC,delete@B/BC,get@A,change@B:CC",
        losses=1,
        ask="A kept what it had, and only added what it was missing. Why is a tombstone not the "
        "same as nothing?",
    ),
    Lab(
        name="collected-too-soon",
        sees="a deleted value is back after its tombstone was collected",
        rule="every_member",
        says="A tombstone is dropped when every member has it, not when a majority has.",
        jobs="put@A/ABC,delete@A/AB,collect@A,get@C",
        ask="A majority had the tombstone on disk, and a majority is enough for everything else. "
        "Why not for this?",
    ),
    Lab(
        name="version-again",
        sees="a key that was deleted and is written again has its old version",
        rule="floor",
        says="A member that drops a record keeps its promise and its version as the floor of the "
        "slot.",
        jobs="put@A/A,delete@A/A,collect@A,put@A",
        nodes=1,
        members=1,
        ask="The versions of this key were fences of a lock. What can a holder of the past do?",
    ),
    Lab(
        name="undead-write",
        sees="a write is done of which its client was told that it never will be",
        rule="written_conflict",
        says="A write that has sent an accept writes down what it found before it says that it is "
        "a conflict.",
        jobs="put@A/ABC,delete@B,create@A,get@C",
        attempts=2,
        ask="Which message has been on its way since step 3, and who carries it on?",
    ),
    Lab(
        name="early-end",
        sees="a lease is over, though most clocks say that it is not",
        rule="most_clocks",
        says="What expires is over only when the clocks of a majority of the members say so.",
        jobs="lease@A/ABC,get@B",
        clocks=1,
        ask="The holder of the lease trusts its own clock. What does it do next?",
    ),
    Lab(
        name="two-histories",
        sees="two readers see two different first writes",
        rule="own_epoch",
        says="A majority that names the same ballot is believed only if the ballot is of the "
        "present epoch.",
        jobs="create@A/A,create@B/C,change@B/C=BC/A=AB/B=AB,get@A,get@B",
        ask="A and B hold the same in epoch 2. How did it get to B, and who never agreed to it?",
    ),
)
LABS = {lab.name: lab for lab in _ALL}

OTHERWISE = {
    "claims_checked": "chordnet.sim.store, with nodes that lie",
    "asked_first": "chordnet.sim.store, with disks that are lost before they are members",
}
"""Rules that concern more than one slot, and what shows what goes wrong without them."""
