"""Put a new root in the place of the old one, while the network runs.

The steps can be repeated, so an interrupted command is simply run again:

1. A new root is added, and all nodes trust both.
2. The issuers get certificates of the new root, and so does the operator.
3. Every node renews its certificate by itself.
4. The old root is removed everywhere, and its key is forgotten.
"""

from __future__ import annotations

import time

import attrs

from chordnet.core.base.errors import ChordnetError
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.findings import Ref, called
from chordnet.survey.observer import Observer
from chordnet.survey.trust.seen import Certificates
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.membership.looking import secured, see
from chordnet.testbed.membership.spreading import (
    PAUSE_S,
    load_authority,
    save_authority,
    spread,
)
from chordnet.trust.authority import Authority
from chordnet.trust.base.errors import IdentityError
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import read_request

PATIENCE_S = 5.0
"""Seconds that one issuer may take to answer."""


@attrs.frozen
class Rotated:
    """What has been done."""

    root: str
    """The beginning of the new root's hash."""
    finished: bool
    """Whether the old root is removed."""
    nodes: tuple[Ref, ...]
    """Those that have a certificate of the new root."""
    left: dict[Ref, str]
    """Nodes that did not answer, and why; they need new identities if the old root is removed."""
    clients: tuple[str, ...]
    """Names of clients that still show a certificate of the old root."""


@attrs.frozen
class _Rotation:
    testbed: Testbed
    network: NetworkDescription
    authority: Authority
    deadline: float

    def observer(self) -> Observer:
        return self.testbed.observer(self.network)


async def rotate(
    testbed: Testbed, timeout: float, *, keep_old: bool = False, leave: bool = False
) -> Rotated:
    """Rotate the authority, or go on with it.

    :param keep_old: stop when all have certificates of the new root.
    :param leave: remove the old root although nodes do not answer that ought to.
    :raises TestbedError: the network is not secured, or it does not go on in time; then the command
        can be repeated.
    """
    network = secured(testbed)
    authority = load_authority(testbed)
    rotation = _Rotation(testbed, network, authority, testbed.reactor.seconds() + timeout)
    if await _removes_already(rotation):
        testbed.say("the old root has been removed here, and not everywhere yet")
        return await _finish(rotation)
    authority.begin_rotation(time.time())
    save_authority(testbed, authority)  # before anybody hears of it
    observer = rotation.observer()
    try:
        testbed.say("1. all nodes hear of the new root")
        await spread(testbed, observer, network, authority.bundle, rotation.deadline)
        testbed.say("2. operator and issuers get certificates of it")
        # First, since from then on nodes show certificates of the new root.
        _renew_operator(rotation)
        await _certify_issuers(rotation, leave=leave)
    finally:
        observer.close()
    testbed.say("3. every node renews its certificate")
    seen = await _until_renewed(rotation)
    if seen.silent and not leave and not keep_old:
        ref, why = next(iter(seen.silent.items()))
        raise TestbedError(
            f"{called(ref)} does not answer, so the old root is kept for now: {why}; start it and"
            " run the command again, or add --leave-behind, and it has to join with a new token"
        )
    if keep_old:
        return _done(rotation, seen, finished=False)
    return await _finish(rotation)


async def _removes_already(rotation: _Rotation) -> bool:
    """Return True if the old root was removed from the authority, and some nodes still have it."""
    if rotation.authority.rotating:
        return False
    observer = rotation.observer()
    try:
        seen = await see(rotation.testbed, observer, rotation.network)
    finally:
        observer.close()
    version = rotation.authority.bundle.version
    return any(told.bundle < version and len(told.roots) > 1 for told in seen.told.values())


async def _certify_issuers(rotation: _Rotation, *, leave: bool) -> None:
    """Give every issuer a certificate of the new root.

    :param leave: go on if at least one of them takes it.
    :raises TestbedError: one of them does not.
    """
    testbed, network, authority = rotation.testbed, rotation.network, rotation.authority
    numbers = {network.node_name(number): number for number in network.numbers}
    problems, certified = list[str](), 0
    for name in authority.bundle.issuers:
        try:
            await _certify_issuer(rotation, name, numbers.get(name))
        except ChordnetError as problem:
            problems.append(str(problem))
        else:
            certified += 1
    save_authority(testbed, authority)
    if not certified or (problems and not leave):
        raise TestbedError(
            "not every issuer has a certificate of the new root, so the old one is kept:"
            f" {'; '.join(problems) or 'there is no issuer'}; run the command again when they"
            " answer, or add --leave-behind"
        )
    for each in problems:
        testbed.say(each)


async def _certify_issuer(rotation: _Rotation, name: str, number: int | None) -> None:
    if number is None:
        raise TestbedError(f"{name} is no node that p2pnet has started")
    ask, authority = rotation.testbed.ask, rotation.authority
    request = await ask(number, lambda client: client.membership.issuer_request(), PATIENCE_S)
    certificate = authority.certify_issuer(read_request(request), name, time.time())
    await ask(number, lambda client: client.membership.certify_issuer(certificate), PATIENCE_S)


def _renew_operator(rotation: _Rotation) -> None:
    """Renew the operator's own certificate with the new root.

    :raises TestbedError: it cannot be read or written.
    """
    directory, authority = rotation.testbed.home.operator_directory, rotation.authority
    try:
        old = Identity.load(directory)
        key = old.key.public_key()
        chain = authority.root.renew(key, old.subject, time.time())
        old.with_chain(chain).with_bundle(authority.bundle).save(directory)
    except IdentityError as problem:
        raise TestbedError(str(problem)) from problem


async def _until_renewed(rotation: _Rotation) -> Certificates:
    """Wait until every node that answers has a certificate of the new root.

    :raises TestbedError: not in time.
    """
    testbed = rotation.testbed
    observer = rotation.observer()
    try:
        while True:
            seen = await see(testbed, observer, rotation.network)
            old = [ref for ref, told in seen.told.items() if told.root != told.roots[-1]]
            if seen.told and not old:
                return seen
            if testbed.reactor.seconds() >= rotation.deadline:
                raise TestbedError(_late(seen, old))
            await pause(testbed.reactor, PAUSE_S)
    finally:
        observer.close()


def _late(seen: Certificates, old: list[Ref]) -> str:
    who = ", ".join(map(called, old[:4])) or "no node answers"
    why = next((seen.told[ref].problem for ref in old if seen.told[ref].problem), "")
    return (
        f"not all nodes have a certificate of the new root yet: {who}{f' ({why})' if why else ''};"
        " the old root is kept, and the command can be repeated"
    )


async def _finish(rotation: _Rotation) -> Rotated:
    testbed, authority = rotation.testbed, rotation.authority
    testbed.say("4. all nodes forget the old root")
    last = authority.finish_rotation()
    save_authority(testbed, authority)
    _keep_operators_bundle(rotation)
    observer = rotation.observer()
    try:
        seen = await spread(testbed, observer, rotation.network, last, rotation.deadline)
    finally:
        observer.close()
    return _done(rotation, seen, finished=True)


def _keep_operators_bundle(rotation: _Rotation) -> None:
    directory = rotation.testbed.home.operator_directory
    try:
        Identity.load(directory).with_bundle(rotation.authority.bundle).save_bundle(directory)
    except IdentityError as problem:
        raise TestbedError(str(problem)) from problem


def _done(rotation: _Rotation, seen: Certificates, *, finished: bool) -> Rotated:
    root = seen.root
    renewed = tuple(ref for ref, told in seen.told.items() if told.root == root)
    begun = rotation.authority.root.certificate.since
    clients = sorted({each.name for each in seen.clients() if each.since < begun})
    return Rotated(root, finished, renewed, dict(seen.silent), tuple(clients))
