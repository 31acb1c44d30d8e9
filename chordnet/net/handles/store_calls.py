"""What a program asks of the store through its own node; :class:`chordnet.ChordService` has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.limits import RECOVERY_S
from chordnet.core.base.outcomes import Revision
from chordnet.net.base.arguments import CALL, refusing
from chordnet.net.base.deferreds import from_call, from_callback
from chordnet.net.handles.key_methods import KeyMethods
from chordnet.net.handles.watching import KeyWatch
from chordnet.net.runtime.node import LocalNode
from chordnet.net.store.state import all_held_keys, whole_state
from chordnet.wire.rpc import KeyRequest
from chordnet.wire.stores import HeldKey, SlotRecovery, StoreStanding, StoreState
from chordnet.wire.watches import WatchKey


class StoreCalls(KeyMethods):
    """The calls; the class that inherits them has the node."""

    def _running(self) -> LocalNode:
        """Return the node.

        :raises NotInRing: it is not running.
        """
        raise NotImplementedError

    def watch(
        self,
        key: str,
        callback: Callable[[Revision], object] | None = None,
        *,
        since: int | None = None,
    ) -> KeyWatch:
        """Be told of the states that a key has, as ``P2PNetClient.watch`` does.

        The watch fails with :class:`NotInRing` when the node ends.
        """
        stops: list[Callable[[], None]] = []

        def stop() -> None:
            for each in stops:
                each()

        watch = KeyWatch(stop, callback, since)
        try:
            keys, asked = self._running().keys, WatchKey(0, key, since)
            stops.append(keys.watch(asked, lambda told: watch.received([told]), watch.ended))
        except ChordnetError as error:
            watch.ended(error)
        if watch.over:  # the callback may have stopped it at once
            stop()
        return watch

    @refusing
    def held_keys(
        self, limit: int = 0, after: str = "", *, owned: bool = False
    ) -> Deferred[list[HeldKey]]:
        """Return the keys that the node holds, as ``P2PNetClient.held_keys`` does.

        A long list is better asked for in parts, since the node does nothing else meanwhile.
        """
        CALL.span(limit, after)
        CALL.flag("owned", owned)
        ask = partial(self._running().held_keys, owned=owned)
        return from_call(lambda: all_held_keys(ask, limit, after))

    def _ask_key(self, asked: KeyRequest) -> Deferred[Any]:
        return from_callback(lambda done: self._running().keys.ask(asked, done))

    @refusing
    def recover(
        self, slots: Sequence[int], *, accept_loss: bool = False, timeout_s: float = RECOVERY_S
    ) -> Deferred[list[SlotRecovery]]:
        """Recover slots that lost their majority for good, as ``P2PNetClient.recover`` does."""
        CALL.flag("accept_loss", accept_loss)
        CALL.seconds("timeout_s", timeout_s)
        return from_callback(
            lambda done: self._running().orders.recover(
                slots, timeout_s, done, accept_loss=accept_loss
            )
        )

    @refusing
    def begin_store(self, founders: Sequence[str]) -> Deferred[None]:
        """Begin a store together with others, as ``P2PNetClient.begin_store`` does."""
        return from_call(lambda: self._running().orders.begin(founders))

    @refusing
    def set_store_aside(self, formation: str) -> Deferred[str]:
        """Set this node's store aside, as ``P2PNetClient.set_store_aside`` does."""
        CALL.text("formation", formation)
        return from_call(lambda: self._running().orders.set_aside(formation))

    def store_state(self) -> Deferred[StoreState]:
        """Return what the node knows of the store, as ``P2PNetClient.store_state`` does."""
        return from_call(lambda: whole_state(self._running().keys.store))

    def can_stop(self) -> Deferred[StoreStanding]:
        """Find out if this node can be stopped, as ``P2PNetClient.can_stop`` does."""
        # A node that does not run fails the Deferred.
        return from_callback(lambda done: self._running().standings.can_stop(done))  # noqa: PLW0108
