"""What a node records: committed with every turn, reported to followers, given to other nodes.

- One commit keeps all that a turn records, before any message of the turn is sent. Receipts that
  depend on it are handed over after that, then followers are called, then subscribers.
- A checkpoint of the log, which moves many commits to their final place, is made when a timer
  fires, since no message waits to be passed on then. If too many messages wait for one, it is made
  after the writes of a turn.
- If a node cannot keep what a turn recorded or changed, it leaves its ring as if it had died:
  nothing of the turn is sent, so nothing is confirmed that is not recorded, and the other nodes
  repair the ring around it. What it kept before can still be read.
- A message that turns out to be damaged is given to no other node. It counts as missing, and
  the other nodes are asked to give it back.
"""

from __future__ import annotations

from collections.abc import Callable

from chordnet.core.base.effects import Gap, Record, SendStored
from chordnet.core.base.errors import LogFailed
from chordnet.core.base.events import Event, Spoiled
from chordnet.net.base.interfaces import MessageLog, ReceiptDone, StoredMessage, Transport
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.observe.hooks import Hooks
from chordnet.net.observe.views import Views
from chordnet.net.runtime.giving import Giving
from chordnet.wire.rpc import MessageRecord, Receipt

_CHECKPOINT_AT_REST = 32
_CHECKPOINT_SOON = 128
"""Messages waiting for a checkpoint of the log that are enough for one at a timer, and that are
enough for one right after a turn. All nodes of a ring reach the second number with the same
message, and those on one machine would compete for its processors; their timers fire at different
times, so most checkpoints should come from the first."""


class History:
    """One node's message log, and the callbacks that wait for its records; a turn participant.

    :param post: passes an event to the core.
    :param failed: called once, with why nothing more can be recorded.
    """

    def __init__(
        self,
        shared: Shared,
        log: MessageLog,
        *,
        hooks: Hooks,
        views: Views,
        transport: Transport,
        post: Callable[[Event], None],
        failed: Callable[[str], None],
    ) -> None:
        self._log = log
        self._turn = shared.turn
        self._journal = shared.journal
        self._hooks = hooks
        # Every turn that records looks whether there are any.
        self._for_messages, self._for_records = hooks.of(MessageRecord), hooks.of(Record)
        self._views = views
        self._transport = transport
        self._post = post
        self._failed = failed
        self._wall = shared.wall
        self._given_up = False
        self._followers: dict[Callable[[], None], None] = {}
        self.fresh: list[StoredMessage] = []
        """What has been recorded and not reported yet; it may not be committed either."""
        self.unkept: list[tuple[ReceiptDone, Receipt]] = []
        """Receipts to be handed over once what is fresh is committed."""

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called after turns that recorded messages; return what ends that."""
        self._followers[callback] = None

        def end() -> None:
            self._followers.pop(callback, None)

        return end

    # -- once a turn -----------------------------------------------------------------------------

    def commit(self) -> bool:
        """Keep what this turn recorded; return True if that succeeded.

        A node that has given up records nothing, so it has nothing to keep.
        """
        if not self._given_up:
            try:
                self._log.commit()
            except LogFailed as error:
                self._give_up(str(error))
                return False
        return True

    def abandon(self) -> None:
        """Report nothing of what this turn recorded, and record nothing more."""
        self.fresh.clear()
        self._give_up("what belongs to the same turn as a message could not be kept")

    def committed(self) -> None:
        """Act on what the log has found, or left for later."""
        if self._given_up:
            return
        log = self._log
        if log.spoiled:
            self._turn.after(self._miss_spoiled)
        if log.waiting >= _CHECKPOINT_SOON:
            self._turn.after(self._checkpoint)
        # A read has failed, and with nothing to write the commit did not notice.
        if log.failed:
            self._give_up(log.failed)

    def rest(self) -> None:
        """Make a checkpoint of the log, if enough messages wait for one."""
        if self._log.waiting >= _CHECKPOINT_AT_REST:
            self._checkpoint()

    def _checkpoint(self) -> None:
        if not self._given_up:
            try:
                self._log.checkpoint()
            except LogFailed as error:
                self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        if not self._given_up:
            self._given_up = True
            self._failed(why)

    def _miss_spoiled(self) -> None:
        """Have the other nodes give back what is damaged here."""
        ids = sorted(self._log.spoiled)
        self._log.spoiled.clear()
        self._post(Spoiled(ids))

    def _tell_recorded(self) -> None:
        fresh, self.fresh = self.fresh, []
        unkept, self.unkept = self.unkept, []
        for done, receipt in unkept:
            done(receipt)
        for follower in list(self._followers):
            follower()
        if self._for_messages:
            for stored in fresh:
                self._hooks.fire(self._views.message(stored))
        if self._for_records:
            for stored in fresh:
                self._hooks.fire(stored.record)

    # -- what the core asks for ------------------------------------------------------------------

    def record(self, record: Record) -> None:
        """Append a message to the log; the end of the turn commits it."""
        stored = self._log.append(record, self._wall())
        self._journal.counters.add(NetMetric.RECORDED)
        if self._journal.debug_enabled:
            self._journal.debug("recorded {id}", id=str(record.id))
        if not self.fresh:
            self._turn.after(self._tell_recorded)
        self.fresh.append(stored)

    def send_stored(self, effect: SendStored) -> None:
        """Give a node messages that it lacks, and say which are not kept any more."""
        giving = Giving(self._log, sealed=effect.sealed)
        try:
            complete = giving.give(effect.ranges)
        except LogFailed:  # committed() finds out at the end of the turn, and gives up
            return
        for message in effect.answers(giving.found, giving.lost, complete=complete):
            self._transport.send(effect.to, message)

    def gap(self, effect: Gap) -> None:
        """Give up messages that no node keeps any more."""
        self._log.skip(effect.ranges)
        self._journal.limited(
            NetMetric.GAPS_TOLD,
            "{count} messages are lost to this node: {peer} does not keep them any more",
            count=sum(each.end - each.first for each in effect.ranges),
            peer=effect.peer.name or effect.peer.address,
        )
