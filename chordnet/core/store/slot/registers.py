"""The registers of one slot, as one of its members keeps them: the acceptor's side.

*Where a request is taken.* A request that is meant for another formation, slot, generation, disk or
epoch is refused with what this member knows. So a quorum only ever counts within one epoch, and a
disk never answers for one that was lost.

*For a key*, as in Paxos:

- ``Prepare``: promise, unless a higher ballot was promised; say what was accepted, and what time
  it is here.
- ``Accept``: take the content, unless a higher ballot was promised. A write and the repair of what
  was found are the same message, so no repair goes below a promise. It may ask for the promise of a
  ``following`` ballot, which is given in the same write on disk: its coordinator knows what was
  accepted last, so its next write needs no round for promises.
- ``Read``: say what was accepted, promising nothing.
- ``Reserve``: promise a ballot for all keys without a record, and name the others
  (:mod:`chordnet.core.store.slot.reserving`).

*For the next configuration*, single-decree Paxos among the members of this one. Its ``Accept`` is
also the **seal**, in the same write on disk: from then on nothing is promised, accepted or read for
a key in this epoch, whichever proposal wins, and the member is never unsealed. To learn that a
later configuration is chosen seals as well, and so does installing an epoch when a later one is
known. What a sealed member has of the slot is therefore final, and only then is it given to an
installation of the next epoch.

*Installing* an epoch replaces all that the member has of the slot: a key that is not in the state
that it installs is dropped, its own older record of it and anything copied beforehand included. It
is one write on disk. **Before it, the member answers nothing in that epoch**: no promise, accept,
read or vote. So the epoch serves exactly from when a majority has installed it, and there is no
other activation.

*A recovery* (``recovery.py``) begins a new generation with what is left of a slot. To accept one
seals, too. What is left has new ballots and versions in the new generation, because writes may
have been lost, and neither may come to stand for something else.

*A record without a value* is dropped when every member of one epoch has installed that and has this
tombstone on its disk (:mod:`chordnet.core.store.slot.collecting`): until then one may have an older
value, which would come back. What was promised stays: in the write that drops the record **the
slot's floor is raised to its promise and version**, and a key without a record takes nothing up to
the floor. A record that was only promised and never accepted anything can go in the same way at any
time, for the floor promises more. Members drop at different times, or do not hear of it. So a
member says of a tombstone that nothing older is left here also if it has no content for the key and
takes none up to that ballot any more.

*A member that is not in the next configuration* deletes its records when a majority has installed
that. It keeps its head for ever: the epoch, the seal, its promise and its vote.

Nothing is answered that is not on disk: each answer comes after the ``Keep`` that it rests on.

Sources: CATS (Arad, Shafaat, Haridi: "consistent quorums", 2012), RMWPaxos (Skrzypczak et al.,
arXiv:2001.03362) and CASPaxos (Rystsov, arXiv:1802.07000) for registers without a log; Stoppable
Paxos (Lamport, Malkhi, Zhou, 2008) for the seal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, below
from chordnet.core.store.base.configurations import Configuration, Head, Member, Vote
from chordnet.core.store.base.effects import (
    AllDropped,
    Effect,
    Entry,
    HeadKept,
    Keep,
    RecordDropped,
    RecordKept,
    Say,
)
from chordnet.core.store.base.messages import Address, Tombstone, Why
from chordnet.core.store.base.records import EMPTY, Floor, Record, is_large
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.reserving import MOST_KNOWN, RESERVED_S, fingerprints, is_possible

ForKey = msg.Prepare | msg.Accept | msg.Reserve | msg.Read | msg.Collect | msg.Drop
Proposal = msg.Prepare | msg.Accept | msg.Reserve | msg.PrepareChange | msg.AcceptChange
ALL = StoreSafeguards()


def inquired(
    message: msg.Inquire, me: Member, head: Head, keys: int = 0, written: float = 0.0
) -> msg.Inquired:
    """Return what a member that has this of a slot answers."""
    return msg.Inquired(
        message.address,
        message.rid,
        me.store,
        head.configuration,
        head.emptied,
        head.known,
        head.recovering,
        head.recovery,
        keys,
        written,
    )


class Stock:
    """How many keys with a value a member has of a slot, and their bytes and those of the values.

    A key that was deleted has a record for a while, and does not count.
    """

    def __init__(self, records: dict[bytes, Record], change: int) -> None:
        self._records = records
        self.keys = 0
        self.bytes = 0
        self.dead: dict[bytes, int] = {}
        """Keys whose record has no value -> the change that made it so; the oldest first."""
        self.expiring: dict[bytes, float] = {}
        """Keys with a value that expires -> when."""
        for key, record in records.items():
            self.add(key, record, change)

    def add(self, key: bytes, record: Record, change: int) -> None:
        """Count a record.

        :param change: the number of the write on disk that keeps it.
        """
        value, expires = record.content.value, record.content.expires
        if value is None:
            self.dead[key] = change
            return
        self.keys += 1
        self.bytes += len(key) + len(value)
        if expires is not None:
            self.expiring[key] = expires

    def remove(self, key: bytes, record: Record) -> None:
        """Count a record no longer."""
        value = record.content.value
        if value is not None:
            self.keys -= 1
            self.bytes -= len(key) + len(value)
        self.dead.pop(key, None)
        self.expiring.pop(key, None)

    def hold(self, key: bytes, record: Record, change: int) -> Record:
        """Put a record in the place of the one of its key, and return it."""
        before = self._records.get(key)
        if before is not None:
            self.remove(key, before)
        self._records[key] = record
        self.add(key, record, change)
        return record

    def postpone(self, key: bytes, change: int) -> None:
        """Count a record without a value as if a later change had made it so."""
        if self.dead.pop(key, None) is not None:
            self.dead[key] = change


class Registers:
    """What one member has of one slot.

    :param me: this disk.
    :param head: the slot's head, as it is on disk.
    :param records: the slot's records, as they are on disk; kept and changed.
    :param effects: where what is asked for goes.
    :param wall: returns this member's wall clock, seconds since 1970.
    """

    def __init__(
        self,
        me: Member,
        head: Head,
        records: dict[bytes, Record],
        effects: list[Effect],
        safeguards: StoreSafeguards = ALL,
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.me = me
        self._wall = wall
        self.head = head
        self.records = records
        self.stock = Stock(records, 0)
        """What ``records`` holds, counted as it changes."""
        self.written = 0.0
        """When the last write arrived, by the wall clock; 0: none since the start."""
        self.changes = 0
        """Counts the writes on disk."""
        self._effects = effects
        self._safeguards = safeguards
        self._reserved = "", 0.0
        """Who has reserved the slot last, and when; that only keeps two from taking it in turns."""

    # ---- keys -------------------------------------------------------------------------------

    def on_prepare(self, sender: str, message: msg.Prepare) -> None:
        """Promise a ballot for a key."""
        record = self.records.get(message.key) or _nothing(self.head)
        if self._refuses_key(sender, message) or self._is_late(sender, message, record.promised):
            return
        address, rid, ballot = message.address, message.rid, message.ballot
        if ballot > record.promised:
            record = self.stock.hold(
                message.key, replace(record, promised=ballot), self.changes + 1
            )
            if self._safeguards.promise_on_disk:
                self._keep(RecordKept(self.head.slot, message.key, record))
        floor, wall = self.head.floor.version, self._wall()
        accepted, content = record.accepted, record.content
        self._say(sender, msg.Promised(address, rid, ballot, accepted, content, floor, wall))

    def on_accept(self, sender: str, message: msg.Accept) -> None:
        """Take a content for a key."""
        if self._refuses_key(sender, message):
            return
        record = self.records.get(message.key) or _nothing(self.head)
        ballot, following = message.ballot, message.following
        if ballot != record.accepted:
            if self._is_late(sender, message, record.promised):
                return
            promised = max(ballot, following) if self._safeguards.following_promised else ballot
            record = self.stock.hold(
                message.key, Record(promised, ballot, message.content), self.changes + 1
            )
            self.written = self._wall()
            self._keep(RecordKept(self.head.slot, message.key, record))
        # One that is asked again says so again, although it may have promised more by now.
        holds = following == record.promised or not self._safeguards.following_promised
        promise = following if holds else NONE
        self._say(sender, msg.Accepted(message.address, message.rid, ballot, promise))

    def on_reserve(self, sender: str, message: msg.Reserve) -> None:
        """Promise a ballot for every key without a record, and name those that have one."""
        head, ballot = self.head, message.ballot
        if self._refuses_key(sender, message):
            return
        if not is_possible(ballot, head.floor.promised):
            self._refuse(sender, message, Why.BALLOT)
        elif len(self.records) > MOST_KNOWN or self._is_reserved(ballot.node):
            self._refuse(sender, message, Why.CROWDED)
        elif not self._is_late(sender, message, head.floor.promised):
            promised = below(ballot)
            if promised > head.floor.promised:
                floor = Floor(promised, head.floor.version)
                self._keep_head(replace(head, floor=head.floor.raised(floor)))
            self._reserved = ballot.node, self._wall()
            known = fingerprints(self.records) if self._safeguards.reserved_unknown else b""
            answer = msg.Reserved(message.address, message.rid, ballot, head.floor.version, known)
            self._say(sender, answer)

    def _is_reserved(self, node: str) -> bool:
        """Return True if another node than this one has just reserved the slot."""
        holder, since = self._reserved
        return holder not in ("", node) and 0 <= self._wall() - since < RESERVED_S

    def on_read(self, sender: str, message: msg.Read) -> None:
        """Say what was accepted for a key."""
        if not self._refuses_key(sender, message):
            record = self.records.get(message.key) or _nothing(self.head)
            address, rid, content, left_out = message.address, message.rid, record.content, 0
            size = len(content.value or b"")
            if size > msg.SHORT_BYTES and not message.whole and sender != self.me.node:
                content, left_out = replace(content, value=b""), size
            self._say(sender, msg.Told(address, rid, record.accepted, content, left_out))

    # ---- records without a value ------------------------------------------------------------

    def on_collect(self, sender: str, message: msg.Collect) -> None:
        """Say of which of these tombstones nothing older is here, nor will be in this epoch."""
        if not self._refuses_key(sender, message):
            found = tuple(
                (key, ballot)
                for key, ballot in message.tombstones
                if _is_past(self.records.get(key), self.head.floor, ballot)
            )
            self._say(sender, msg.Collectable(message.address, message.rid, found))

    def on_drop(self, sender: str, message: msg.Drop) -> None:
        """Drop the records of tombstones that all members have."""
        if not self._refuses_key(sender, message):
            self.drop(message.tombstones)

    def drop(self, found: Iterable[Tombstone]) -> None:
        """Drop records without a value, and raise the floor to what they stood for.

        :param found: all members have these tombstones; or with the ballot ``NONE`` they are
            records that were only promised, of which no other member has to know.
        """
        head, dropped = self.head, list[Entry]()
        for key, ballot in found:
            record = self.records.get(key)
            if record is None or record.accepted != ballot or record.content.value is not None:
                continue
            self.stock.remove(key, self.records.pop(key))
            dropped.append(RecordDropped(head.slot, key))
            if self._safeguards.floor:
                floor = Floor(record.promised, record.content.version)
                head = replace(head, floor=head.floor.raised(floor))
        if dropped:
            self.head = head
            self._keep(HeadKept(head), *dropped)

    # ---- the next configuration -------------------------------------------------------------

    def on_prepare_change(self, sender: str, message: msg.PrepareChange) -> None:
        """Promise a ballot for the next configuration; a sealed member does so as well."""
        head, ballot = self.head, message.ballot
        if self._refuses(sender, message) or self._is_late(sender, message, head.promised):
            return
        if ballot > head.promised:
            self._keep_head(replace(head, promised=ballot))
        self._say(sender, msg.ChangePromised(message.address, message.rid, ballot, head.vote))

    def on_accept_change(self, sender: str, message: msg.AcceptChange) -> None:
        """Vote on the next configuration, and be sealed."""
        head, ballot = self.head, message.ballot
        if self._refuses(sender, message) or self._is_late(sender, message, head.promised):
            return
        vote = Vote(ballot, message.members)
        if vote != head.vote:
            self._keep_head(replace(head, promised=ballot, vote=vote, sealed=True))
        self._say(sender, msg.ChangeAccepted(message.address, message.rid, ballot))

    # ---- installing -------------------------------------------------------------------------

    def on_fetch(self, sender: str, message: msg.Fetch) -> None:
        """Give the state of the slot: of the epoch wanted, or the final one of the epoch before."""
        if self._refuses(sender, message):
            return
        final = self.head.sealed or message.epoch == self.head.configuration.epoch
        if not final:
            self._refuse(sender, message, Why.NOT_SEALED)
            return
        after = message.after
        keys = sorted(self.records if after is None else (k for k in self.records if k > after))
        have = dict(message.have)
        records = msg.page((key, _unless_there(self.records[key], have.get(key))) for key in keys)
        more = len(records) < len(keys)
        self._say(
            sender,
            msg.Snapshot(message.address, message.rid, after, records, self.head.floor, more),
        )

    def learn(self, configuration: Configuration, *, serves: bool = False) -> None:
        """Keep that a configuration is chosen, if it is later than what is known.

        Of the one that is installed here keep that it serves.

        That seals, too: no request for a key is answered from now on, so the records are final even
        if this member has not voted. They may be needed, if one that has voted does not come back.
        """
        if configuration.follows(self.head.known):
            self._keep_head(replace(self.head, newest=configuration, sealed=True))
            if not self._safeguards.installed_first and self.me in configuration.members:
                self.install(configuration, self.records.items(), self.head.floor)
        elif serves and configuration == self.head.configuration and not self.head.settled:
            self._keep_head(replace(self.head, settled=True))

    def install(
        self,
        configuration: Configuration,
        records: Iterable[tuple[bytes, Record]],
        floor: Floor,
    ) -> None:
        """Replace all that is here by the state of a later epoch, in one write.

        Large values that stay as they are are not written again: that could take long.
        """
        head = self.head
        if not configuration.follows(head.configuration):
            return
        newest = head.newest if head.known.follows(configuration) else None
        # It answers for no key in an epoch of which it knows the next, so what it has is final.
        sealed = newest is not None
        floor = floor.raised(head.floor)
        self.head = Head(
            head.formation,
            head.slot,
            configuration,
            sealed,
            newest=newest,
            floor=floor,
            recovering=head.recovering,
            recovery=head.recovery,
        )
        # Nothing of this epoch is promised yet, and its ballots are above all earlier promises.
        again = configuration.generation == head.configuration.generation
        mine = self.records if again else {}
        state = {key: _installed(record, mine.get(key)) for key, record in records}
        if not self._safeguards.whole_state:
            state |= self.records
        slot, before = self.head.slot, dict(self.records)
        self.records.clear()
        self.records.update(state)
        self.stock = Stock(self.records, self.changes + 1)
        entries = [RecordKept(slot, key, record) for key, record in sorted(state.items())]
        if before.keys() <= state.keys() and any(map(is_large, before.values())):
            changed = [each for each in entries if before.get(each.key) is not each.record]
            self._keep(HeadKept(self.head), *changed)
        else:
            self._keep(HeadKept(self.head), AllDropped(slot), *entries)

    def on_forget(self, sender: str, message: msg.Forget) -> None:
        """Delete the records, for others hold the slot now; the head stays."""
        if not self._refuses(sender, message) and self.forget(message.configuration):
            self._say(sender, msg.Forgotten(message.address, message.rid))

    def forget(self, later: Configuration) -> bool:
        """Delete the records if ``later``, which a majority has installed, does without this disk.

        The head stays. Return True if it does.
        """
        if self.me in later.members or not later.follows(self.head.configuration):
            return False
        if not self.head.emptied:
            newest = later if later.follows(self.head.known) else self.head.newest
            self.head = replace(self.head, sealed=True, emptied=True, newest=newest)
            self.records.clear()
            self.stock = Stock(self.records, self.changes + 1)
            self._keep(HeadKept(self.head), AllDropped(self.head.slot))
        return True

    # ---- a new generation -------------------------------------------------------------------

    def on_inquire(self, sender: str, message: msg.Inquire) -> None:
        """Say what is here, and promise not to accept an earlier recovery."""
        head = self.head
        if message.address.slot != head.slot or message.address.formation != head.formation:
            return
        if message.generation > max(head.recovering, head.known.generation):
            self._keep_head(replace(head, recovering=message.generation))
        self._say(sender, inquired(message, self.me, self.head, self.stock.keys, self.written))

    def on_recover(self, sender: str, message: msg.Recover) -> None:
        """Accept a recovery, and be sealed."""
        if self._refuses(sender, message):
            return
        head, recovery = self.head, message.recovery
        left, new = recovery.left, recovery.configuration
        installed = head.configuration
        right = (left.generation, left.epoch) == (installed.generation, installed.epoch)
        if not (recovery.is_sound() and right and self.me in left.members):
            self._refuse(sender, message, Why.GENERATION)
        elif recovery == head.recovery and new == head.newest:
            self._say(sender, msg.RecoverAccepted(message.address, message.rid))
        elif new.generation < head.recovering or new.generation <= head.known.generation:
            self._refuse(sender, message, Why.MOVED)
        else:
            self._keep_head(
                replace(
                    head,
                    newest=new,
                    sealed=True,
                    recovering=new.generation,
                    recovery=recovery,
                )
            )
            self._say(sender, msg.RecoverAccepted(message.address, message.rid))

    # ---- what is refused --------------------------------------------------------------------

    def _refuses_key(self, sender: str, message: ForKey) -> bool:
        if self._refuses(sender, message):
            return True
        if self.head.newest is not None:
            self._refuse(sender, message, Why.MOVED)
            return True
        sealed = self.head.sealed and self._safeguards.seal
        if sealed:
            self._refuse(sender, message, Why.SEALED)
        return sealed

    def _refuses(self, sender: str, message: msg.Request) -> bool:
        why = _misdirected(message.address, self.head, self.me, self._safeguards)
        if why is not None:
            self._refuse(sender, message, why)
        return why is not None

    def _is_late(self, sender: str, message: Proposal, promised: Ballot) -> bool:
        """Refuse a ballot below what was promised, or of another epoch than the request.

        A promise of a later epoch's ballot could never be outdone in this one.
        For keys without a record the promised ballot, that of the floor, is refused itself: what
        was accepted under it is gone, and is not to come back.
        """
        address, ballot = message.address, message.ballot
        foreign = ballot.epoch != address.epoch
        if isinstance(message, msg.Accept) and message.following != NONE:
            foreign = foreign or message.following.epoch != address.epoch
        if foreign:
            self._refuse(sender, message, Why.BALLOT)
            return True
        if isinstance(message, msg.Prepare | msg.Accept):
            gone = message.key not in self.records
        else:
            gone = isinstance(message, msg.Reserve)
        late = ballot < promised or (gone and ballot == promised)
        if late:
            self._say(sender, msg.Outrun(address, message.rid, ballot, promised))
        return late

    def _refuse(self, sender: str, message: msg.Request, why: Why) -> None:
        head = self.head
        refused = msg.Refused(
            message.address,
            message.rid,
            why,
            head.formation,
            self.me.store,
            head.known,
            head.sealed,
        )
        self._say(sender, refused)

    # ---- effects ----------------------------------------------------------------------------

    def _say(self, to: str, message: msg.Answer) -> None:
        self._effects.append(Say(to, message))

    def _keep(self, *entries: Entry) -> None:
        self.changes += 1
        self._effects.append(Keep(entries))

    def _keep_head(self, head: Head) -> None:
        self.head = head
        self._keep(HeadKept(head))


def _misdirected(
    address: Address, head: Head, me: Member, safeguards: StoreSafeguards
) -> Why | None:
    """Return why a request with this address is not for this member, here and now."""
    installed = head.configuration
    if address.formation != head.formation:
        return Why.FORMATION
    if address.slot != head.slot:
        return Why.SLOT
    if address.generation < installed.generation:
        return Why.GENERATION
    if address.store != me.store and safeguards.store_id:
        return Why.STORE
    if address.generation > installed.generation:
        return Why.NOT_INSTALLED
    if address.epoch < installed.epoch or head.emptied:
        return Why.MOVED
    if address.epoch > installed.epoch:
        return Why.NOT_INSTALLED
    return None


def _nothing(head: Head) -> Record:
    """Return what a key counts as that has no record."""
    return Record(head.floor.promised, NONE, EMPTY)


def _unless_there(record: Record, there: Ballot | None) -> Record | None:
    return None if record.accepted == there else record


def _is_past(record: Record | None, floor: Floor, ballot: Ballot) -> bool:
    """Return True if nothing older than a tombstone is here, nor will be."""
    if record is None:
        return floor.promised >= ballot
    # A ballot that was only promised may still be accepted, after others have dropped what they had
    # accepted under it and something later was decided without it.
    return record.accepted == ballot or (record.accepted == NONE and record.promised > ballot)


def _installed(record: Record, mine: Record | None) -> Record:
    """Return what a member keeps that installs a record; ``mine`` is what it has of the key."""
    if (
        mine is not None
        and is_large(mine)
        and (mine.accepted, mine.content) == (record.accepted, record.content)
    ):
        return mine  # with its promise, which is below all ballots of the new epoch
    return replace(record, promised=record.accepted)


AT_MEMBER: dict[type, Callable[[Registers, str, Any], None]] = {
    msg.Prepare: Registers.on_prepare,
    msg.Accept: Registers.on_accept,
    msg.Reserve: Registers.on_reserve,
    msg.Read: Registers.on_read,
    msg.Collect: Registers.on_collect,
    msg.Drop: Registers.on_drop,
    msg.PrepareChange: Registers.on_prepare_change,
    msg.AcceptChange: Registers.on_accept_change,
    msg.Fetch: Registers.on_fetch,
    msg.Forget: Registers.on_forget,
    msg.Inquire: Registers.on_inquire,
    msg.Recover: Registers.on_recover,
}
"""What a member does with each request."""
