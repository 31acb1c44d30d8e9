"""What a node does beside operations: who watches here, what is watched here, reads of the past."""

from __future__ import annotations

from collections.abc import Callable

from chordnet.core.store.base import events
from chordnet.core.store.watch.host import Bell, Host
from chordnet.core.store.watch.messages import Aside, Peek, Peeked, Stirred, Watch
from chordnet.core.store.watch.peeks import Peeks
from chordnet.core.store.watch.watchers import Watchers
from chordnet.core.store.watch.watching import Watching


class Asides:
    """The three parts of one node.

    :param version: returns the version that this node has accepted of a key, 0 for one without a
        record; None for one that it does not hold.
    :param own: returns what it has of a key.
    """

    def __init__(
        self,
        host: Host,
        version: Callable[[bytes], int | None],
        own: Callable[[Peek], Peeked],
    ) -> None:
        self._host = host
        self._own = own
        self.watchers = Watchers(host, version)
        self.watching = Watching(host)
        self.peeks = Peeks(host, own)

    def heed(self, event: events.Watch | events.Unwatch) -> None:
        """Begin or end a watch of a client."""
        if isinstance(event, events.Unwatch):
            self.watching.stop(event.watch)
        else:
            self.watching.start(event.watch, event.key, event.since)

    def take(self, sender: str, message: Aside) -> None:
        """Take a message of another node, or of this one."""
        if isinstance(message, Watch):
            self.watchers.on_watch(sender, message)
        elif isinstance(message, Stirred):
            self.watching.on_stirred(sender, message)
        elif isinstance(message, Peek):
            self._host.say(sender, self._own(message))
        elif isinstance(message, Peeked):
            self.peeks.on_peeked(sender, message)

    def ring(self, bell: Bell, number: int) -> None:
        """Heed an alarm."""
        if bell is Bell.RENEW:
            self.watching.renew()
        elif bell is Bell.LOOK:
            self.watching.look(number)
        elif bell is Bell.HINT:
            self.watchers.hint()
        elif bell is Bell.SWEEP:
            self.watchers.sweep()
        else:
            self.peeks.go_on(number)

    def close(self) -> None:
        """End everything: this node leaves the formation."""
        self.watching.close()
        self.peeks.close()
