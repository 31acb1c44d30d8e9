"""Look at the certificates of a whole network."""

from __future__ import annotations

import time
from collections.abc import Callable

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.observer import Observer
from chordnet.survey.trust.seen import Certificates, look_at_certificates
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look

Wall = Callable[[], float]


def secured(testbed: Testbed) -> NetworkDescription:
    """Return the description of a network that is secured.

    :raises TestbedError: it is not, or there is none.
    """
    network = testbed.description()
    if not network.secured:
        raise TestbedError(
            f"network '{network.name}' is not secured: its nodes have no certificates; a secured"
            f" one is started with {testbed.command('start-network --secure')}"
        )
    return network


async def see(
    testbed: Testbed, observer: Observer, network: NetworkDescription, wall: Wall = time.time
) -> Certificates:
    """Return what all nodes that run say of certificates, those started by hand included."""
    report = await look(testbed, observer, network)
    visitors = report.snapshot.visitors.values()
    return await look_at_certificates(observer, network, report.running, wall(), visitors)


async def certificates(testbed: Testbed, timeout: float) -> Certificates:
    """Return what all nodes that run say of certificates.

    :param timeout: seconds that a node may take.
    :raises TestbedError: the network is not secured, or does not run.
    """
    network = secured(testbed)
    observer = testbed.observer(network, timeout)
    try:
        return await see(testbed, observer, network)
    finally:
        observer.close()
