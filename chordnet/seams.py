"""What a service is made from besides its reactor: the parts that may be replaced, and keywords."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.core.node import real_node
from chordnet.home import COOKIE, make_cookie
from chordnet.net.base.addresses import Endpoints, client_endpoint
from chordnet.net.base.arguments import SETTING
from chordnet.net.base.interfaces import Core, IReactor, KeyStore, MessageLog, StoreKeeper
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.base.turn import Turn
from chordnet.net.runtime.keeping import Storage, StoreChoice
from chordnet.net.runtime.recorder import Recorder
from chordnet.net.serve.permissions import Permissions
from chordnet.settings import NodeSettings
from chordnet.storage.log.sqlite import Durability
from chordnet.wire.codec import frame_limit

CoreFactory = Callable[[ProtocolConfig, NodeRef, random.Random], Core]


@attrs.frozen(kw_only=True)
class Seams:
    """Parts that a test or an embedding program may replace.

    :param rng: source of randomness for the protocol, not for secrets; None for a new one.
    :param log: where messages are kept; None for a file in ``state_dir``, or for memory without
        one.
    :param core: makes the protocol core.
    :param endpoints: makes the client endpoints that peers are dialled with.
    :param seconds: a clock that never goes back.
    :param wall: returns the wall clock in seconds since 1970.
    :param keys: reads and writes keys, instead of the node's own store.
    :param keeper: where the node's store keeps its part; None for a file in ``state_dir``, or for
        memory.
    :param cookies: what a client may show besides the node's own cookie: other cookies, and files
        with some, made if they are missing; the node does without one that cannot be.
    """

    rng: random.Random | None = None
    log: MessageLog | None = None
    core: CoreFactory = real_node
    endpoints: Endpoints = client_endpoint
    seconds: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    keys: KeyStore | None = None
    keeper: StoreKeeper | None = None
    cookies: Sequence[Path | bytes] = ()


class Keywords(TypedDict, total=False):
    """Settings and seams that :class:`ChordService` accepts as keywords.

    Each is a field of ``NodeSettings`` or :class:`Seams`. Settings without a keyword are given in
    ``settings=NodeSettings(...)``.
    """

    alone: bool
    name: str | None
    network: str
    advertise: str | None
    state_dir: str | os.PathLike[str] | None
    config: ProtocolConfig | None
    rng: random.Random | None
    log: MessageLog | None
    insecure: bool
    cookie: str | os.PathLike[str] | None
    operate_keys: str
    durability: Durability
    history_bytes: int
    history_s: float
    limits: NetworkLimits | None
    leave_timeout_s: float
    debug: bool
    core: CoreFactory
    endpoints: Endpoints
    seconds: Callable[[], float]
    wall: Callable[[], float]
    founders: Sequence[str]
    store: StoreChoice
    keys: KeyStore | None
    keeper: StoreKeeper | None
    cookies: Sequence[Path | bytes]


def with_keywords(
    settings: NodeSettings | None, seams: Seams | None, keywords: dict[str, Any]
) -> tuple[NodeSettings, Seams]:
    """Return the settings and seams with the keywords put in."""
    SETTING.instance("settings", settings, NodeSettings, optional=True)
    SETTING.instance("seams", seams, Seams, optional=True)
    for each in keywords:
        if each not in Keywords.__annotations__:
            raise TypeError(f"ChordService() got an unexpected keyword argument {each!r}")
    for each in ("config", "limits"):  # None means the default; the fields refuse it
        if keywords.get(each, ...) is None:
            del keywords[each]
    passed = {each: keywords.pop(each) for each in _SEAMS & keywords.keys()}
    return (
        attrs.evolve(settings or NodeSettings(), **keywords),
        attrs.evolve(seams or Seams(), **passed),
    )


def shared_of(
    settings: NodeSettings, seams: Seams, reactor: IReactor, journal: Journal, me: NodeRef
) -> Shared:
    """Return what the parts of a node's runtime share."""
    return Shared(
        reactor=reactor,
        turn=Turn(reactor, partial(journal.failure, NetMetric.TURN_ERRORS)),
        me=me,
        network=settings.network,
        space=IdentifierSpace(settings.config.bits),
        journal=journal,
        limits=settings.limits,
        frame_limit=frame_limit(settings.config.max_body_bytes),
        rng=seams.rng or random.Random(),
        seconds=seams.seconds,
        wall=seams.wall,
        endpoints=seams.endpoints,
        operate_keys=settings.operate_keys,
    )


def storage_of(
    settings: NodeSettings, seams: Seams, warn: Callable[[str], None], rng: random.Random
) -> Storage:
    """Return what keeps a node's files, not yet opened.

    :param warn: called with one line about what an operator may have to look after.
    """
    return Storage(
        settings.state_dir,
        warn,
        seams.wall,
        seams.log,
        settings.durability,
        settings.history_bytes,
        settings.history_s,
        rng,
        settings.store,
        seams.keeper,
    )


def permissions_of(
    settings: NodeSettings, seams: Seams, ports: Collection[int], journal: Journal
) -> Permissions:
    """Return what decides what a client may do at the node, with its cookies.

    :param ports: where clients reach the node.
    :raises ConfigError: its own cookie cannot be read or made.
    """
    cookies = []
    if settings.cookie is not None:
        cookies.append(make_cookie(Path(settings.cookie)))
    elif settings.state_dir is not None:
        cookies.append(make_cookie(Path(settings.state_dir) / COOKIE))
    for each in seams.cookies:
        try:
            cookies.append(make_cookie(each) if isinstance(each, Path) else each)
        except ConfigError as problem:
            journal.warn("goes on without a cookie: {why}", why=str(problem))
    return Permissions(cookies, ports, seams.wall)


_SEAMS = {field.name for field in attrs.fields(Seams)}


def recorder_of(settings: NodeSettings, seams: Seams) -> Recorder | None:
    """Return what records the node's events; None if nothing is to.

    :raises ConfigError: another core is given.
    """
    if settings.record is None:
        return None
    if seams.core is not real_node:
        raise ConfigError("record is for chordnet's own core, and another core is given")
    return Recorder(settings.record, settings.record_bytes, seconds=seams.seconds, wall=seams.wall)
