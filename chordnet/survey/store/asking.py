"""Ask the nodes of a network what they know of their store."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chordnet.survey.description import NetworkDescription
from chordnet.survey.findings import Ref
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.store.merged import Circle, Store, together
from chordnet.survey.verdict import Names
from chordnet.survey.waiting import gather
from chordnet.wire.rpc import NodeInfo, NodeStatus


async def look_at_store(
    observer: Observer,
    network: NetworkDescription,
    numbers: Collection[int],
    visitors: Iterable[NodeStatus | NodeInfo] = (),
) -> Store:
    """Ask those nodes, in parallel, and put together what they say.

    :param visitors: members of the ring that are no nodes of the network; they are asked as well.
    """
    names = Names(network)
    asked: dict[Ref, str] = {number: network.address(number) for number in sorted(numbers)}
    guests: dict[Ref, int] = {}
    for each in visitors:
        guest = each.node if isinstance(each, NodeStatus) else each
        names.meet(guest)
        ref = names.ref(guest.id, guest.name)
        asked[ref], guests[ref] = guest.address, int(guest.id, 16)
    places: dict[Ref, int] = {number: network.identifier(number) for number in numbers}
    circle = Circle(network.space.bits, places | guests)
    answers = await gather(observer.store_state(address) for address in asked.values())
    found = list(zip(asked, answers, strict=True))
    states = {ref: answer for ref, answer in found if not isinstance(answer, NoAnswer)}
    silent = {ref: answer.why for ref, answer in found if isinstance(answer, NoAnswer)}
    return together(names, states, silent, circle)
