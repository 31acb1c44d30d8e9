"""One life of a node: what it holds from opening its files until it releases them.

A life begins in this order: open the files, listen, work out the address, make the node, let
clients in, join. If a step fails, everything held so far is released, and the problem is reported
in one line that a user can read.

It ends in this order: wait a while until the keys that it holds can be used without it, leave the
ring (within a time limit), let reads and writes of keys that are under way end, accept no more
connections, close the port, stop what reads the log, say goodbye to peers and clients, wait a while
for their connections to end, and release the rest. It ends once, however often
:meth:`Lifetime.end` is called.

A service that is started again begins another life.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.defer import TimeoutError as LateError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError
from chordnet.net.base.deferreds import Waiters, from_callback
from chordnet.net.base.interfaces import MessageLog, NodeState
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.listening import Entrance, start_problem
from chordnet.net.runtime.delivery import Delivery
from chordnet.net.runtime.keeping import Storage
from chordnet.net.runtime.node import LocalNode
from chordnet.net.serve.desk import ClientDesk

STOP_WAIT_S = 5.0
"""How long a stop waits until every slot that the node holds keeps a majority without it."""
IDLE_WAIT_S = 1.0
"""How long it waits for reads and writes of keys that are under way."""

Beside = Callable[[LocalNode], Callable[[], None]]
"""Opens something that runs beside a node, and returns what closes it."""
NodeMaker = Callable[[IAddress, NodeState, MessageLog], LocalNode]
"""Makes the node from the address listened on, its state and its message log."""


class Lifetime:
    """What a node holds while it lives.

    :param endpoint: the server endpoint to listen on.
    :param listen: the same for people to read.
    :param storage: opened when life begins, closed when it is over.
    """

    def __init__(
        self, endpoint: IStreamServerEndpoint, listen: str, storage: Storage, journal: Journal
    ) -> None:
        self._endpoint = endpoint
        self._listen = listen
        self._storage = storage
        self._journal = journal
        self._entrance = Entrance()
        self._listening: Deferred[IListeningPort] | None = None
        self._port: IListeningPort | None = None
        self._close_beside: Callable[[], None] = _nothing
        self.node: LocalNode | None = None
        """The running node; None before it listens and after it has been closed."""
        self.state: NodeState | None = None
        self.desk: ClientDesk | None = None
        self.deliveries: set[Delivery] = set()
        """Subscribers that read the message log; they end with the node."""
        self.problem: ChordnetError | None = None
        """Why it could not begin."""
        self.ending = False
        """Whether it is being ended at this moment; False again once it has ended."""
        self._end_waiters = Waiters()

    def begin(
        self,
        make: NodeMaker,
        bootstrap: Sequence[str],
        leave: Callable[[Callable[[], None]], None],
        *,
        alone: bool = False,
        beside: Beside | None = None,
    ) -> Deferred[None]:
        """Listen, and begin to join a ring through the addresses ``bootstrap``.

        :param leave: makes the node leave for a client, as for :class:`ClientDesk`.
        :param alone: create a ring if no node answers.
        :param beside: opens what runs beside the node; a ``CannotListenError`` ends the life.
        :return: fires when the node listens, or fails with a :class:`ChordnetError`.
        """
        try:
            state, log = self._storage.open()
        except ChordnetError as error:
            return fail(error).addErrback(self._failed)
        self.state = state

        def listens(port: IListeningPort) -> None:
            # Kept first, so that _failed closes the port if the node cannot be made.
            self._port = port
            self._listening = None
            self.node = node = make(port.getHost(), state, log)
            self.desk = ClientDesk(node, leave, node.permissions)
            self._entrance.door = node.door(self.desk)
            self._journal.info(
                "listening as {address} in network {network}, identifier {id}",
                address=node.me.address,
                network=node.network,
                id=node.space.hex(node.me.id),
            )
            if beside is not None:
                self._close_beside = beside(node)
            node.start(bootstrap, state.known_peers(), alone=alone)

        listening = maybeDeferred(lambda: self._endpoint.listen(self._entrance))
        self._listening = listening
        return listening.addCallback(listens).addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self._listening = None
        problem = start_problem(failure, self._listen)
        if problem is None:
            self._journal.failure(NetMetric.START_ERRORS, "the node could not be started", failure)
            problem = ChordnetError("the node could not be started; see the log")
        self.problem = problem
        if self.node is not None:  # it was made, and could not begin
            self.node.stop()
            self.node = None
        if self._port is not None:
            self._port.stopListening()
            self._port = None
        self._release()
        return Failure(problem)

    def end(self, leave_timeout_s: float) -> Deferred[None]:
        """Leave the ring and close everything, at any moment; fires when nothing is left."""
        ended = self._end_waiters.wait()
        if not self.ending:
            self.ending = True
            Deferred.fromCoroutine(self._end(leave_timeout_s)).addBoth(self._ended)
        return ended

    def _ended(self, outcome: Failure | None) -> None:
        # Before the waiters are told: their callbacks may start the service again.
        self.ending = False
        self._end_waiters.tell(outcome)

    async def _end(self, leave_timeout_s: float) -> None:
        if self._listening is not None:
            self._listening.cancel()  # fails the Deferred of begin, which releases all
        node = self.node
        if node is not None:
            await self._until_it_may_stop(node, min(STOP_WAIT_S, leave_timeout_s))
            left: Deferred[None] = from_callback(lambda done: node.leave(partial(done, None)))
            try:
                await left.addTimeout(leave_timeout_s, node.clock)
            except LateError:
                self._journal.warn("did not leave the ring in time; closing anyway")
            await self._until_idle(node, min(IDLE_WAIT_S, leave_timeout_s))
            await self._close(node)
        self._release()

    async def _until_it_may_stop(self, node: LocalNode, limit_s: float) -> None:
        if not node.active:
            return
        ready: Deferred[None] = Deferred()
        node.standings.before_stop(limit_s, partial(ready.callback, None))
        await ready

    async def _until_idle(self, node: LocalNode, limit_s: float) -> None:
        """Let operations on keys end that others know nothing of; no more begin."""
        idle: Deferred[None] = Deferred()
        node.keys.when_idle(partial(idle.callback, None))
        with contextlib.suppress(LateError):
            await idle.addTimeout(limit_s, node.clock)

    async def _close(self, node: LocalNode) -> None:
        self.node = None
        assert self.desk is not None
        assert self._entrance.door is not None
        # A greeting that is answered now would make a session that the steps below miss.
        self._entrance.door.close()
        self._close_beside()
        port, self._port = self._port, None
        assert port is not None
        await maybeDeferred(port.stopListening)
        for delivery in list(self.deliveries):
            delivery.stop()
        node.stop()
        self.desk.stop()
        # Flushes the goodbyes, and leaves no call scheduled in a reactor that may stop.
        node.turn.stop()
        emptied: Deferred[None] = Deferred()
        # Connections are cut one by one after close_timeout_s; this is for those that missed it.
        cut = node.clock.callLater(node.limits.close_timeout_s + 0.5, node.turn.cut)
        node.turn.when_empty(lambda: emptied.callback(None))
        await emptied
        if cut.active():
            cut.cancel()
        self._journal.info("stopped")

    def _release(self) -> None:
        self.state = None
        self._storage.close()


def _nothing() -> None:
    pass
