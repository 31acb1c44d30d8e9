"""Marks: how far a disk has come, as others remember it; and how an older copy of it is found.

Who puts an older copy of a disk in its place brings back a member that has forgotten promises. So
a node says with everything that rests on a write how far its disk is, and others remember that:

- Each start with a disk has a *run* number, one more than the last, and draws a *life*, which tells
  two runs of one number apart. All writes of a disk are numbered.
- A *mark* says all three. It has a proof: a hash of it with a secret that is on the disk and that
  nobody else has. So a mark that comes back to the disk is one that the disk itself has given, and
  whoever brings it back needs no belief.
- A node that starts again tells its fellow members, **before it answers anything for a slot**, and
  waits for what they know: for all that can be reached, or a second for those that say nothing,
  or a few seconds if nobody answers. A disk that is used for the first time has nothing to ask.

The disk is an older copy if a mark comes back of a later run, of another life of the same run, or
of an earlier run with more writes than the disk had when this run began. Then it takes no part any
more: whoever runs the node sets its files aside and starts with an empty store, which is another
member. Others keep on disk which run of a node they have seen, and its writes in memory.

This is no guarantee. The last writes of a copied disk may be known only to nodes that are gone, or
that have restarted. A disk that was merely away is no copy, and nothing comes back to it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from random import Random

import msgspec

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import (
    Entry,
    MarkKept,
    NumberKept,
    SecretKept,
)
from chordnet.core.store.base.kept import PROOF_BYTES, Kept, Mark

ASK_S = 0.3
"""Between two times that the fellow members are asked after a start."""
SILENT_S = 1.0
"""A fellow member that has not answered for so long is not waited for, if another has."""
PATIENCE_S = 5.0
"""For so long a node waits if none has."""
MOST_MARKS = 4096
"""Nodes whose marks are remembered."""
MOST_ON_DISK = 1024
"""Nodes whose runs are remembered on disk."""
KEEP_AGAIN_S = 10.0
"""A new run of one node is kept on disk once in this time."""
SECRET_BYTES = 16

_encode = msgspec.msgpack.Encoder().encode


class Back(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The sender has started with this disk: say how far you know it to be."""

    mark: Mark


class Known(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The furthest mark that the sender has of the receiver's disk."""

    mark: Mark


class Marks:
    """The marks of this node's disk, and those of others that it remembers.

    :param lost: returns True if a node is known to be out of reach.
    """

    def __init__(self, me: Member, kept: Kept, rng: Random, lost: Callable[[str], bool]) -> None:
        self._me = me
        self._run = kept.run
        self._life = rng.getrandbits(60)
        self._began_at = self._number = kept.number
        self._lost = lost
        self._fresh = not kept.secret
        self._secret = kept.secret or rng.randbytes(SECRET_BYTES)
        self._marks = dict(kept.marks[:MOST_MARKS])
        self._on_disk = dict.fromkeys(self._marks, float("-inf"))
        """Nodes of which a run is on disk, and when it was kept."""
        self._answered: set[str] = set()
        self._asked_at: float | None = None
        self._free = kept.run <= 1
        self.outdated = ""
        """Why this disk is an older copy, in words; empty if that is not known."""

    # ---- this disk --------------------------------------------------------------------------

    @property
    def mine(self) -> Mark:
        """How far this disk is."""
        numbers = (self._me.store, self._run, self._life, self._number)
        return Mark(*numbers, self._proof(numbers))

    def wrote(self) -> list[Entry]:
        """Number a write; return what is to be on disk with it."""
        self._number += 1
        entries: list[Entry] = [NumberKept(self._number)]
        if self._fresh:
            self._fresh = False
            entries.append(SecretKept(self._secret))
        return entries

    def _proof(self, numbers: tuple[int, ...]) -> bytes:
        mac = hashlib.blake2b(_encode(numbers), key=self._secret, digest_size=PROOF_BYTES)
        return mac.digest()

    # ---- after a start ----------------------------------------------------------------------

    def whom_to_ask(self, fellows: Iterable[str], now: float) -> list[str]:
        """Return the nodes to send ``Back`` to; none if that is over."""
        if self._asked_at is None:
            self._asked_at = now
        if not self._free and now >= self._asked_at + PATIENCE_S:
            self._free = True
        if self._free:
            return []
        return sorted(set(fellows) - self._answered - {self._me.node})

    def may_answer(self, members: Iterable[Member], now: float) -> bool:
        """Return True if this disk may answer for a slot with these members."""
        if self._free:
            return True
        others = {member.node for member in members} - {self._me.node}
        waited_for = {node for node in others - self._answered if not self._lost(node)}
        if not waited_for:
            return True
        if self._asked_at is None:
            return False
        answered = others & self._answered
        return now >= self._asked_at + (SILENT_S if answered else PATIENCE_S)

    def on_known(self, sender: str, mark: Mark) -> None:
        """Compare this disk with what another node knows of it."""
        numbers = (mark.store, mark.run, mark.life, mark.number)
        if mark.store != self._me.store:
            return
        self._answered.add(sender)
        if not hmac.compare_digest(mark.proof, self._proof(numbers)):
            return  # this disk has never said so
        other_life = mark.run == self._run and mark.life != self._life
        forgot = mark.run < self._run and mark.number > self._began_at
        if (mark.run > self._run or other_life or forgot) and not self.outdated:
            other = "another " if other_life else ""
            self.outdated = (
                f"this disk is an older copy: {sender} has seen it in {other}run {mark.run} with"
                f" {mark.number} writes, and this is run {self._run}, which began with"
                f" {self._began_at}; it may have forgotten promises"
            )

    # ---- other disks ------------------------------------------------------------------------

    def on_mark(self, sender: str, mark: Mark, now: float) -> tuple[list[Entry], Mark | None]:
        """Remember how far another disk is.

        Return what is to be on disk, and what is to be told to the sender if it is further.
        """
        known = self._marks.get(sender)
        if known is not None and known.store == mark.store:
            same_run, behind = known.run == mark.run, mark.number < known.number
            if same_run and known.life == mark.life:
                if behind:  # a letter that was overtaken
                    return [], None
            elif same_run or behind or mark.run < known.run:
                return [], known
        self._marks.pop(sender, None)
        if len(self._marks) >= MOST_MARKS:
            del self._marks[next(iter(self._marks))]
        self._marks[sender] = mark
        same = known is not None and (known.store, known.run) == (mark.store, mark.run)
        return ([] if same else self._to_keep(sender, mark, now)), None

    def _to_keep(self, sender: str, mark: Mark, now: float) -> list[Entry]:
        """Return what is to be on disk of a run; nothing if that happens too often."""
        at = self._on_disk.get(sender)
        room = len(self._on_disk) < MOST_ON_DISK if at is None else now >= at + KEEP_AGAIN_S
        if not room:
            return []
        self._on_disk[sender] = now
        return [MarkKept(sender, mark)]

    def on_back(self, sender: str, mark: Mark, now: float) -> tuple[list[Entry], Mark]:
        """Remember a disk that is back; return what is to be on disk, and what to answer."""
        entries, known = self.on_mark(sender, mark, now)
        return entries, self._marks[sender] if known is None else known
