"""What a node records: kept with every turn, told to those who follow it, given to who lacks it.

- What a turn records is kept by one commit before anything of the turn is sent. Receipts that
  presuppose it, followers and subscribers are told after that, in this order.
- What a commit leaves for later (a checkpoint of the log) is done when a timer fires, for then no
  message waits to be passed on; where there are too many of them, after the writes of a turn.
- A node that cannot keep it, or something else that the turn changed, gives up at once, as if it
  had died: nothing of the turn is sent, so nothing is confirmed that is not recorded, and the
  others repair the ring around it. What it kept before can still be asked for.
- A message that turns out to be damaged is given to nobody. It counts as missing, and the others
  are asked to give it back.
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
"""Messages that wait for a checkpoint of the log: so many are worth one when nothing else is to be
done, with so many it comes after the turn. All nodes reach the second with the same message, and
would keep each other's processors busy with it; at the first their timers tell them apart."""


class History:
    """One node's message log, and who waits for what is recorded in it; participates in turns.

    :param post: hands the core an event.
    :param failed: told why nothing more can be recorded, once.
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
        self._views = views
        self._transport = transport
        self._post = post
        self._failed = failed
        self._wall = shared.wall
        self._given_up = False
        self._followers: dict[Callable[[], None], None] = {}
        self.fresh: list[StoredMessage] = []
        """What has been recorded and not been told of yet; it may not be committed either."""
        self.unkept: list[tuple[ReceiptDone, Receipt]] = []
        """Receipts to be handed over once what is fresh is committed."""

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called after turns that recorded messages; returns what ends it."""
        self._followers[callback] = None

        def end() -> None:
            self._followers.pop(callback, None)

        return end

    # -- once a turn -----------------------------------------------------------------------------

    def commit(self) -> bool:
        """Keep what this turn recorded; return True if it may be built on."""
        if not self._given_up:
            try:
                self._log.commit()
            except LogFailed as error:
                self._give_up(str(error))
                return False
        return True

    def abandon(self) -> None:
        """Tell nobody of what this turn recorded, and record nothing more."""
        self.fresh.clear()
        self._give_up("what belongs to the same turn as a message could not be kept")

    def committed(self) -> None:
        """See to what the log has left, or found, until now."""
        if self._given_up:
            return
        if self._log.spoiled:
            self._turn.after(self._miss_spoiled)
        if self._log.waiting >= _CHECKPOINT_SOON:
            self._turn.after(self._checkpoint)
        if self._log.failed:  # it could not be read, and there was nothing to write
            self._give_up(self._log.failed)

    def rest(self) -> None:
        """Have the log do what commits have left for later, if that is worth while."""
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
        """Have the others give back what is damaged here."""
        ids, self._log.spoiled = sorted(self._log.spoiled), set()
        self._post(Spoiled(ids))

    def _tell_recorded(self) -> None:
        fresh, self.fresh = self.fresh, []
        unkept, self.unkept = self.unkept, []
        for done, receipt in unkept:
            done(receipt)
        for follower in list(self._followers):
            follower()
        if self._hooks.wanted(MessageRecord):
            for stored in fresh:
                self._hooks.fire(self._views.message(stored))
        if self._hooks.wanted(Record):
            for stored in fresh:
                self._hooks.fire(stored.record)

    # -- what the core asks for ------------------------------------------------------------------

    def record(self, record: Record) -> None:
        """Take a message into the log; the end of the turn commits it."""
        stored = self._log.append(record, self._wall())
        self._journal.counters.add(NetMetric.RECORDED)
        if self._journal.debug_enabled:
            self._journal.debug("recorded {id}", id=str(record.id))
        if not self.fresh:
            self._turn.after(self._tell_recorded)
        self.fresh.append(stored)

    def send_stored(self, effect: SendStored) -> None:
        """Give a node messages that it lacks, and say which are kept no more."""
        giving = Giving(self._log)
        try:
            complete = giving.give(effect.ranges)
        except LogFailed:  # the end of the turn sees to it
            return
        for message in effect.answers(giving.caught, giving.lost, complete=complete):
            self._transport.send(effect.to, message)

    def gap(self, effect: Gap) -> None:
        """Give up messages that nobody keeps any more."""
        self._log.skip(effect.ranges)
        self._journal.limited(
            NetMetric.GAPS_TOLD,
            "{count} messages are lost to this node: {peer} does not keep them any more",
            count=sum(each.end - each.first for each in effect.ranges),
            peer=effect.peer.name or effect.peer.address,
        )
