"""Follow the messages of one node as they come, or what becomes of a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError

from chordnet.core.base.errors import ChordnetError, ConnectFailed, NotInRing, Refused
from chordnet.core.base.outcomes import Revision
from chordnet.survey.errors import NodeStopped
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.rpc import MessageRecord, Order, OrderedEntry


async def follow_messages(
    testbed: Testbed,
    number: int,
    since: str,
    show: Callable[[MessageRecord | OrderedEntry], None],
    order: Order = "received",
) -> None:
    """Hand over every message after ``since``, and each new one, until cancelled.

    :param order: in per-origin order the entries are messages or gaps.
    :raises NodeStopped: the node ended meanwhile.
    """
    network = testbed.checked(number)
    client = testbed.connect(network.address(number))
    try:
        await client.follow(show, since, order).finished
        raise CancelledError  # nothing else ends it without a failure
    except ChordnetError as problem:
        raise NodeStopped(f"Node {number} cannot be followed any longer: {problem}") from problem
    finally:
        client.close()


async def watch_key(
    testbed: Testbed,
    number: int,
    key: str,
    since: int | None,
    show: Callable[[Revision], None],
    most: int | None = None,
) -> None:
    """Hand over the revisions of a key until cancelled, or until there were ``most``.

    :raises TestbedError: the node does not run, or has ended meanwhile, and then the text says how
        to go on elsewhere.
    :raises ChordnetError: the node's own reason to end the watch.
    """
    network = await testbed.check(number)
    client = testbed.connect(network.address(number))
    told = 0
    begun: list[Any] = []

    def tell(revision: Revision) -> None:
        nonlocal told
        if told == most:
            return
        show(revision)
        told += 1
        if told == most:
            for each in begun:
                each.stop()

    watch = client.watch(key, tell, since=since)
    begun.append(watch)
    try:
        if told == most:
            watch.stop()
        await watch.finished
    except (ConnectFailed, NotInRing, Refused) as problem:
        last = watch.last if told else since
        again = "" if last is None else f"; go on through another node with --since {last}"
        text = f"Node {number} cannot be asked any longer: {problem}{again}"
        raise NodeStopped(text) from problem
    finally:
        client.close()
    if told != most:
        raise CancelledError  # nothing else ends it without a failure
