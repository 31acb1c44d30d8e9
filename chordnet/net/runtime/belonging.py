"""What ties a node to its membership in a secured network."""

from __future__ import annotations

from collections.abc import Iterator

from chordnet.net.base.shared import Shared
from chordnet.net.enrol.membership import Membership, Surroundings
from chordnet.net.links.protocol import Connection
from chordnet.net.runtime.node import LocalNode
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.subjects import Subject
from chordnet.wire.trust.bundles import BundleMessage


def membership_of(shared: Shared, credentials: Credentials, node: LocalNode) -> Membership:
    """Return the membership of a node that is being made.

    :raises IdentityError: the files of its issuer, or its invitations, cannot be used.
    """

    def neighbours() -> list[str]:
        core = node.core
        known = [*core.successors, core.predecessor]
        return [each.address for each in known if each is not None]

    def chains() -> Iterator[tuple[Subject, tuple[bytes, ...]]]:
        for each in node.turn.open:
            if isinstance(each, Connection) and each.subject is not None:
                assert each.security is not None
                yield each.subject, each.security.chain

    def tell_all(message: BundleMessage) -> None:
        node.transport.tell_all(message)  # which is made after the membership

    around = Surroundings(node.find, neighbours, tell_all, chains)
    return Membership(shared, credentials, around)
