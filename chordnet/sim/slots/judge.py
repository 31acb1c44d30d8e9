"""What must hold, and what has to be remembered of the past to see whether it does.

A state alone does not say what was chosen, for a member that accepted a ballot may have accepted
another since. So the search carries a :class:`Past` along. It is put together from what members and
coordinators really said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head, Member
from chordnet.core.store.base.records import EXPIRY, Applied, Content, Floor, Record
from chordnet.sim.slots.plan import KEY, Property

FOR_KEYS = msg.Promised | msg.Accepted | msg.Reserved | msg.Told | msg.Collectable
FOR_CHANGES = msg.ChangePromised | msg.ChangeAccepted
Records = tuple[tuple[bytes, Record], ...]


class BrokenError(Exception):
    """Something that must hold does not.

    :param lacking: what.
    """

    def __init__(self, lacking: Property, text: str) -> None:
        super().__init__(text)
        self.lacking = lacking
        self.text = text


class Node(NamedTuple):
    """A node that keeps a store: what it holds in memory, and what is on its disk."""

    me: Member
    run: int
    counter: int
    """Of its ballots in this run."""
    head: Head
    records: Records
    disk_head: Head
    disk_records: Records
    copying: object = None
    """The installation under way, if any."""
    ahead: object = None
    """What it was promised as a coordinator for its next write, if anything."""
    reserved: object = None
    """What it was promised for all new keys, if anything, and if it has not been used."""
    late: bool = False
    """Whether its clock has passed the end of leases."""


class Tried(NamedTuple):
    """Something proposed under a ballot, and who has accepted it."""

    ballot: Ballot
    what: object
    """A content, or the members of the next epoch."""
    by: frozenset[Member] | None
    """None: a majority, so it is chosen."""


class Past(NamedTuple):
    """What has to be remembered."""

    epochs: tuple[tuple[Member, ...], ...]
    """The members of each epoch that was chosen, from the first on."""
    contents: tuple[Tried, ...] = ()
    proposals: tuple[Tried, ...] = ()
    installed: tuple[tuple[int, Ballot], ...] = ()
    """For each epoch the lowest ballot that a member has installed for the key."""
    told: tuple[Applied, ...] = ()
    """Which request made which version, as far as clients know."""
    version: int = 0
    """The highest that a client was told."""
    dead: frozenset[bytes] = frozenset()
    """Requests of which a client was told that they never happen."""
    dropped: tuple[tuple[Ballot, int], ...] = ()
    """The ballots and versions of tombstones that a member has dropped."""

    def majority(self, epoch: int, by: Iterable[Member]) -> bool:
        """Return True if ``by`` has a majority of an epoch's members in it."""
        return epoch <= len(self.epochs) and Configuration(
            1, epoch, self.epochs[epoch - 1]
        ).is_majority(by)


def record_of(records: Records) -> Record | None:
    """Return the record of the one key."""
    return next((record for key, record in records if key == KEY), None)


def accepted(records: Records) -> Ballot:
    """Return the ballot of the one key's content."""
    record = record_of(records)
    return NONE if record is None else record.accepted


class Judge:
    """Holds what happens against what must hold, and takes note of it.

    :param wanted: the properties that are checked.
    """

    def __init__(self, wanted: frozenset[Property]) -> None:
        self._wanted = wanted

    def _is_broken(self, lacking: Property, text: str) -> None:
        if lacking in self._wanted:
            raise BrokenError(lacking, text)

    # ---- what is said -----------------------------------------------------------------------

    def proposed(self, past: Past, message: msg.Accept | msg.AcceptChange) -> Past:
        """Take note of what a coordinator asks to be accepted."""
        if isinstance(message, msg.Accept):
            tried = self._tried(past.contents, message.ballot, message.content)
            return past._replace(contents=tried)
        return past._replace(proposals=self._tried(past.proposals, message.ballot, message.members))

    def buried(
        self, past: Past, content: Content, members: Iterable[Member], nodes: Iterable[Node]
    ) -> None:
        """Check that what a coordinator asks to be accepted ends no lease too early.

        :param past: before that.
        :param members: whom it asks.
        :raises BrokenError: it does.
        """
        known = any(tried.what == content for tried in past.contents)
        if known or Applied(content.version, EXPIRY) not in content.requests:
            return
        asked = {member.node for member in members}
        late = sum(node.late for node in nodes if node.me.node in asked)
        if late <= len(asked) // 2:
            text = f"a lease is ended by {late} of {len(asked)} clocks"
            self._is_broken(Property.OVER_BY_CLOCKS, text)

    def _tried(self, tried: tuple[Tried, ...], ballot: Ballot, what: object) -> tuple[Tried, ...]:
        for each in tried:
            if each.ballot == ballot:
                if each.what != what:
                    text = f"ballot {ballot.counter} of {ballot.node} stands for two things"
                    self._is_broken(Property.ONE_CONTENT, text)
                return tried
        new = Tried(ballot, what, frozenset())
        return tuple(sorted((*tried, new), key=lambda each: each.ballot))

    def heed(self, node: Node, message: msg.StoreMessage) -> None:
        """Check that a member may answer so.

        :param node: as it was before.
        :raises BrokenError: it may not.
        """
        if isinstance(message, FOR_KEYS | FOR_CHANGES):
            name = node.me.node
            if node.head.configuration.epoch != message.address.epoch:
                text = f"{name} answers in an epoch that it has not installed"
                self._is_broken(Property.SILENT_WHEN_SEALED, text)
            if node.head.sealed and isinstance(message, FOR_KEYS):
                text = f"{name} answers for the key after its seal"
                self._is_broken(Property.SILENT_WHEN_SEALED, text)

    def accepted(self, past: Past, me: Member, message: msg.StoreMessage) -> Past:
        """Take note of who has accepted a content or a proposal."""
        if isinstance(message, msg.Accepted):
            return past._replace(contents=_by(past, past.contents, message.ballot, me))
        assert isinstance(message, msg.ChangeAccepted)
        past = past._replace(proposals=_by(past, past.proposals, message.ballot, me))
        return self._chosen(past, message.ballot)

    def _chosen(self, past: Past, ballot: Ballot) -> Past:
        """Take note of the configuration that is chosen, if one is, by the votes for a ballot."""
        tried = next(each for each in past.proposals if each.ballot == ballot)
        if tried.by is not None:
            return past
        members = tried.what
        assert isinstance(members, tuple)
        if ballot.epoch == len(past.epochs):
            return past._replace(epochs=(*past.epochs, members))
        if past.epochs[ballot.epoch] != members:
            text = f"two configurations are chosen for epoch {ballot.epoch + 1}"
            self._is_broken(Property.ONE_CONFIGURATION, text)
        return past

    # ---- how operations end -----------------------------------------------------------------

    def ended(self, past: Past, outcome: end.Outcome, request: bytes, bound: int) -> Past:
        """Hold what a client is told against all that clients were told before.

        :param request: of the operation.
        :param bound: the highest version that was told when it began.
        """
        if isinstance(outcome, end.Found | end.Conflict):
            content = outcome.content if isinstance(outcome, end.Found) else outcome.present
            version = content.version or self._absent(past, bound)
            past = self._told(past, version, content.requests, bound)
        elif isinstance(outcome, end.Done):
            applied = (Applied(outcome.version, request),)
            past = self._told(past, outcome.version, applied, bound + 1)
        if isinstance(outcome, end.Untold) and request in _done(past):
            return past
        if isinstance(outcome, end.Conflict | end.Unavailable | end.Untold):
            past = past._replace(dead=past.dead | {request})
        return past

    def _absent(self, past: Past, bound: int) -> int:
        """Return the lowest version of which it can be told that there is nothing, and no record.

        :param bound: the highest version that was told when the operation began.
        """
        if not bound:
            return 0
        chosen = (each.what for each in past.contents if each.by is None)
        versions = [version for _ballot, version in past.dropped]
        versions += [c.version for c in chosen if isinstance(c, Content) and c.value is None]
        return min((version for version in versions if version >= bound), default=0)

    def _told(self, past: Past, version: int, applied: tuple[Applied, ...], bound: int) -> Past:
        if version < bound:
            text = f"a client is told of version {version}; version {past.version} is out"
            self._is_broken(Property.ONE_HISTORY, text)
        told = tuple(sorted({*past.told, *map(_named, applied)}))
        versions, requests = {each.version for each in told}, {each.request for each in told}
        if not len(told) == len(versions) == len(requests):
            text = "clients are told two histories of the key"
            self._is_broken(Property.ONE_HISTORY, text)
        return past._replace(told=told, version=max(past.version, version))

    # ---- states -----------------------------------------------------------------------------

    def moved_on(self, before: Node, after: Node) -> None:
        """Hold a member's new state against its old one.

        :raises BrokenError: something of it goes back.
        """
        old, new = before.head, after.head
        if before.me != after.me:
            return
        if _standing(new) < _standing(old):
            text = f"the head of {after.me.node} goes back"
            self._is_broken(Property.NEVER_BACK, text)
        if new.floor != new.floor.raised(old.floor):
            text = f"the floor of {after.me.node} goes back"
            self._is_broken(Property.NEVER_BACK, text)
        stays = old.configuration == new.configuration and not new.emptied
        if stays and _goes_back(before, after):
            text = f"the record of {after.me.node} goes back"
            self._is_broken(Property.NEVER_BACK, text)

    @staticmethod
    def installed(past: Past, after: Node) -> Past:
        """Take note of what a member has installed."""
        installed = dict(past.installed)
        epoch, ballot = after.head.configuration.epoch, accepted(after.records)
        if ballot == NONE:
            ballot = max((ballot for ballot, _version in past.dropped), default=NONE)
        installed[epoch] = min(installed.get(epoch, ballot), ballot)
        return past._replace(installed=tuple(sorted(installed.items())))

    @staticmethod
    def dropped(past: Past, before: Node, after: Node) -> Past:
        """Take note of a tombstone that a member has dropped, if it has."""
        was, same = record_of(before.records), before.me == after.me
        moved = before.head.configuration != after.head.configuration or after.head.emptied
        if not same or moved or was is None or record_of(after.records) is not None:
            return past
        if was.accepted == NONE:
            return past
        gone = (was.accepted, was.content.version)
        return past._replace(dropped=tuple(sorted({*past.dropped, gone})))

    def check(self, past: Past, nodes: tuple[Node, ...]) -> None:
        """Check a state.

        :raises BrokenError: something is lacking.
        """
        done: dict[bytes, int] = {}
        for each in (*past.told, *_applied(past)):
            if done.setdefault(each.request, each.version) != each.version:
                self._is_broken(Property.ONE_HISTORY, "a write is done twice")
        for tried in past.contents:
            if tried.by is None:
                self._check_chosen(past, tried)
        for epoch in range(2, len(past.epochs) + 1):
            at = [(node.me, node.head) for node in nodes]
            serving = [me for me, head in at if head.configuration.epoch >= epoch]
            still = [me for me, h in at if h.configuration.epoch == epoch - 1 and not h.sealed]
            if past.majority(epoch, serving) and past.majority(epoch - 1, still):
                text = f"epoch {epoch} serves, and a majority of the one before is open"
                self._is_broken(Property.SEALED_WHEN_SERVED, text)

    def _check_chosen(self, past: Past, tried: Tried) -> None:
        for epoch, ballot in past.installed:
            if tried.ballot.epoch < epoch and tried.ballot > ballot:
                text = f"a member installed epoch {epoch} without what was chosen before"
                self._is_broken(Property.CARRIED_OVER, text)
        content = tried.what
        assert isinstance(content, Content)
        if any(each.request in past.dead for each in content.requests):
            text = "a write is done that was said never to happen"
            self._is_broken(Property.NEVER_LATER, text)


def _by(past: Past, tried: tuple[Tried, ...], ballot: Ballot, me: Member) -> tuple[Tried, ...]:
    return tuple(
        each._replace(by=_more(past, each, me)) if each.ballot == ballot else each for each in tried
    )


def _more(past: Past, tried: Tried, me: Member) -> frozenset[Member] | None:
    if tried.by is None:
        return None
    by = tried.by | {me}
    return None if past.majority(tried.ballot.epoch, by) else by


def _applied(past: Past) -> Iterable[Applied]:
    """Yield which requests have made which versions, in all that was ever chosen."""
    for tried in past.contents:
        if tried.by is None and isinstance(tried.what, Content):
            yield from map(_named, tried.what.requests)


def _named(applied: Applied) -> Applied:
    """Return what made a version under a name that nothing else has: leases end more than once."""
    if applied.request != EXPIRY:
        return applied
    return Applied(applied.version, EXPIRY + str(applied.version).encode())


def _done(past: Past) -> set[bytes]:
    return {each.request for each in (*past.told, *_applied(past))}


def _goes_back(before: Node, after: Node) -> bool:
    """Return True if a member has forgotten what it has promised or accepted for the key."""
    was, now, floor = record_of(before.records), record_of(after.records), after.head.floor
    if now is None:
        return was is not None and (
            was.content.value is not None or floor != floor.raised(_floor(was))
        )
    if was is None:
        return now.promised <= before.head.floor.promised != NONE
    return _place(now) < _place(was)


def _floor(record: Record) -> Floor:
    return Floor(record.promised, record.content.version)


def _standing(head: Head) -> tuple[object, ...]:
    vote = NONE if head.vote is None else head.vote.ballot
    return (head.configuration.epoch, head.sealed, head.promised, vote, head.emptied)


def _place(record: Record) -> tuple[Ballot, Ballot]:
    return record.promised, record.accepted
