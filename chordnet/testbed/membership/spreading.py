"""Put a bundle in force at every node of a network, and see that it is."""

from __future__ import annotations

import time

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.findings import called
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.trust.seen import Certificates, is_revoked
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.membership.looking import see
from chordnet.trust.authority import AUTHORITY, Authority
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.errors import IdentityError

PAUSE_S = 0.25


def load_authority(testbed: Testbed) -> Authority:
    """Return the authority of a network, which is in its home.

    :raises TestbedError: it is not here, or cannot be read.
    """
    directory = testbed.home.authority_directory
    if not (directory / AUTHORITY).exists():
        raise TestbedError(
            f"the authority of network '{testbed.home.name}' is not in {directory}; this can only"
            " be done where the network was started"
        )
    try:
        return Authority.load(directory)
    except IdentityError as problem:
        raise TestbedError(str(problem)) from problem


def save_authority(testbed: Testbed, authority: Authority) -> None:
    """Write the authority down.

    :raises TestbedError: it cannot be written.
    """
    try:
        authority.save(testbed.home.authority_directory)
    except IdentityError as problem:
        raise TestbedError(str(problem)) from problem


async def spread(
    testbed: Testbed,
    observer: Observer,
    network: NetworkDescription,
    bundle: Bundle,
    deadline: float,
) -> Certificates:
    """Give a bundle to a node, and wait until all that answer have it; return what they say.

    :param deadline: on the reactor's clock.
    :raises TestbedError: no node takes it, or not all have it in time.
    """
    problem = "no node runs"
    for number in sorted(await testbed.running(network)):
        answer = await observer.ask(
            network.address(number), lambda client: client.membership.give_bundle(bundle.encode())
        )
        if not isinstance(answer, NoAnswer):
            break
        problem = f"{called(number)}: {answer.why}"
    else:
        raise TestbedError(f"no node takes the new roots and revocations: {problem}")
    while True:
        seen = await see(testbed, observer, network, time.time)
        behind = [
            ref
            for ref, told in seen.told.items()
            # Who is revoked has been cut off, and hears of nothing any more.
            if told.bundle < bundle.version and not is_revoked(told.own, bundle.revoked_names)
        ]
        if seen.told and not behind:
            return seen
        if testbed.reactor.seconds() >= deadline:
            who = ", ".join(map(called, behind[:4])) or "no node"
            raise TestbedError(
                f"the new roots and revocations have not reached all nodes in time: {who}; they"
                " spread by themselves, and the command can be repeated"
            )
        await pause(testbed.reactor, PAUSE_S)
