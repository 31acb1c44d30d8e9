"""Ask the nodes of a network what they know of certificates, and put it together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.findings import Ref
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.verdict import Names
from chordnet.survey.waiting import gather
from chordnet.wire.rpc import NodeInfo, NodeStatus
from chordnet.wire.trust.members import Certified, NodeCertificates


@attrs.frozen
class Certificates:
    """What all nodes that answer say."""

    names: Names
    told: Mapping[Ref, NodeCertificates]
    silent: Mapping[Ref, str] = attrs.field(factory=dict)
    """Those that did not answer, and why."""
    off: Mapping[Ref, float] = attrs.field(factory=dict)
    """By how many seconds the clocks of nodes are ahead of this one's."""

    @property
    def newest(self) -> NodeCertificates | None:
        """What the node says that has the newest bundle; None if none answers."""
        return max(self.told.values(), key=lambda each: each.bundle, default=None)

    @property
    def soonest(self) -> tuple[Ref, NodeCertificates] | None:
        """The node whose certificate expires first; None if none answers."""
        return min(self.told.items(), key=lambda each: each[1].own.until, default=None)

    @property
    def issuers(self) -> dict[Ref, float | None]:
        """The issuers, and until when they can issue; None for one that cannot, or is silent."""
        newest = self.newest
        named = self.names.all_named(newest.issuers if newest is not None else ())
        found: dict[Ref, float | None] = {
            ref: told.issues_until for ref, told in self.told.items() if told.issues_until
        }
        return dict.fromkeys(named) | found

    @property
    def issuing(self) -> list[Ref]:
        """The issuers that answer and can issue."""
        return [ref for ref, until in self.issuers.items() if until is not None]

    @property
    def root(self) -> str:
        """The newest root, as nodes tell it; empty if none answers."""
        newest = self.newest
        return newest.roots[-1] if newest is not None else ""

    def clients(self) -> Iterator[Certified]:
        """Return the certificates of connected clients, each once."""
        seen = set[str]()
        for told in self.told.values():
            for each in told.clients:
                if each.serial not in seen:
                    seen.add(each.serial)
                    yield each


def is_revoked(certificate: Certified, revoked: Collection[str]) -> bool:
    """Return True if a certificate is among what is revoked: names, and beginnings of numbers."""
    return certificate.name in revoked or f"{int(certificate.serial, 16) >> 64:022x}" in revoked


async def look_at_certificates(
    observer: Observer,
    network: NetworkDescription,
    numbers: Collection[int],
    now: float,
    visitors: Iterable[NodeStatus | NodeInfo] = (),
) -> Certificates:
    """Ask those nodes, in parallel, and put together what they say.

    :param now: this machine's wall clock, in seconds since 1970.
    :param visitors: members of the ring that are no nodes of the network; they are asked as well.
    """
    names = Names(network)
    asked: dict[Ref, str] = {number: network.address(number) for number in sorted(numbers)}
    for each in visitors:
        guest = each.node if isinstance(each, NodeStatus) else each
        names.meet(guest)
        asked[names.ref(guest.id, guest.name)] = guest.address
    answers = await gather(observer.certificates(address) for address in asked.values())
    found = list(zip(asked, answers, strict=True))
    told = {ref: each for ref, each in found if not isinstance(each, NoAnswer)}
    silent = {ref: each.why for ref, each in found if isinstance(each, NoAnswer)}
    return Certificates(names, told, silent, {ref: each.wall - now for ref, each in told.items()})
