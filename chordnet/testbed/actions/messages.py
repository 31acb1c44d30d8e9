"""Follow the messages of one node as they come."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError

from chordnet.core.base.errors import ChordnetError
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
