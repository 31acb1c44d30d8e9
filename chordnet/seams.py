"""What a service is made from besides its reactor: replaceable parts, keywords, and each node."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import attrs
from twisted.internet.interfaces import IAddress

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.core.node import real_node
from chordnet.core.seals.notary import Notary
from chordnet.home import COOKIE, make_cookie
from chordnet.net.base.addresses import (
    Endpoints,
    advertised_address,
    checked_advertise,
    client_endpoint,
    parse_address,
)
from chordnet.net.base.arguments import SETTING
from chordnet.net.base.interfaces import (
    Core,
    IReactor,
    KeyStore,
    MessageLog,
    NodeState,
    StoreKeeper,
)
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.base.turn import Turn
from chordnet.net.observe.hooks import Hooks
from chordnet.net.runtime.belonging import membership_of
from chordnet.net.runtime.keeping import Storage, StoreChoice
from chordnet.net.runtime.node import LocalNode
from chordnet.net.runtime.recorder import Recorder
from chordnet.net.store.runner import StoreRunner
from chordnet.net.tls.credentials import Credentials
from chordnet.settings import NodeSettings
from chordnet.storage.log.sqlite import Durability
from chordnet.trust.identity import Identity
from chordnet.wire.codec import frame_limit

CoreFactory = Callable[..., Core]
"""Takes the settings, the node, its source of randomness, and its notary if it has one."""


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
    identity: str | os.PathLike[str] | Identity | None
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
    http: str | None
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


def name_of(settings: NodeSettings, credentials: Credentials | None) -> str | None:
    """Return how the node is called; None if by its address.

    :raises ConfigError: its identity says otherwise.
    """
    if credentials is None:
        return settings.name
    name = credentials.subject.name
    if settings.name not in (None, name):
        raise ConfigError(
            f"the identity is for a node called {name!r}, not {settings.name!r}; leave the name"
            " out, or use another identity"
        )
    return name


def storage_of(
    settings: NodeSettings, seams: Seams, journal: Journal, rng: random.Random
) -> Storage:
    """Return what keeps a node's files, not yet opened."""
    return Storage(
        settings.state_dir,
        lambda text: journal.warn("{what}", what=text),
        seams.wall,
        seams.log,
        settings.durability,
        settings.history_bytes,
        settings.history_s,
        rng,
        settings.store,
        seams.keeper,
    )


def cookies_of(settings: NodeSettings, seams: Seams, journal: Journal) -> list[bytes]:
    """Return the cookies of which a client shows one to operate the node.

    :raises ConfigError: its own cookie cannot be read or made.
    """
    if settings.secured:  # there it is the certificate that counts
        return []
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
    return cookies


@attrs.frozen
class Maker:
    """Makes the node of each life of one service."""

    reactor: IReactor
    rng: random.Random
    settings: NodeSettings
    seams: Seams
    journal: Journal
    hooks: Hooks
    storage: Storage
    recorder: Recorder | None
    """Makes the core, if the node's events are to be recorded."""
    credentials: Credentials | None
    """What the node shows of itself, if it is secured."""

    def make(self, host: IAddress, state: NodeState, log: MessageLog) -> LocalNode:
        """Return a node that has not begun.

        :param host: what is listened on.
        :raises ChordnetError: it cannot be made.
        """
        settings, seams = self.settings, self.seams
        address = advertised_address(host, checked_advertise(settings.advertise))
        name = name_of(settings, self.credentials) or address
        self.journal.source = name  # until now lines name what the node listens on
        space = IdentifierSpace(settings.config.bits)
        raw = space.raw(space.hash(name.encode()))
        me = NodeRef(raw, state.next_incarnation(), address, name)
        make_core = self.recorder or seams.core
        shared = self._shared(host, me, space)
        core = make_core(settings.config, me, self.rng, *self._notary(shared))
        keeper, kept = self.storage.open_store()
        of_store = partial(settings.of_store, name)
        keys = self.storage.of_store(of_store)
        anew = partial(self.storage.anew, of_store)
        trusted = self.credentials
        return LocalNode(
            shared,
            core=core,
            config=settings.config,
            log=log,
            keep_peers=state.keep_peers,
            hooks=self.hooks,
            store=lambda node: (
                seams.keys or StoreRunner(shared, keys, kept, keeper, node, anew=anew)
            ),
            membership=None if trusted is None else partial(membership_of, shared, trusted),
        )

    def _shared(self, host: IAddress, me: NodeRef, space: IdentifierSpace) -> Shared:
        """Return what the parts of the node share."""
        settings, seams = self.settings, self.seams
        return Shared(
            reactor=self.reactor,
            turn=Turn(self.reactor, partial(self.journal.failure, NetMetric.TURN_ERRORS)),
            me=me,
            network=settings.network,
            space=space,
            journal=self.journal,
            limits=settings.limits,
            frame_limit=frame_limit(settings.config.max_body_bytes),
            rng=self.rng,
            seconds=seams.seconds,
            wall=seams.wall,
            endpoints=seams.endpoints,
            credentials=self.credentials,
            cookies=cookies_of(settings, seams, self.journal),
            ports={getattr(host, "port", 0), parse_address(me.address)[1]},
            operate_keys=settings.operate_keys,
            security=settings.security(getattr(host, "host", None)),
        )

    def _notary(self, shared: Shared) -> list[Notary]:
        """Return the notary of a node with certificates, to be passed to its core."""
        if shared.credentials is None:
            return []
        # It needs a library that takes megabytes, which nodes without certificates can do without.
        from chordnet.trust.seals import SealNotary  # noqa: PLC0415

        space, always = shared.space, self.settings.seals == "always"
        return [
            SealNotary(
                shared.credentials.current,
                lambda name: space.raw(space.hash(name.encode())),
                shared.wall,
                always=always,
            )
        ]
