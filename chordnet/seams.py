"""What a service is made from besides its reactor: the parts that may be replaced, and keywords."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import NodeRef
from chordnet.core.node import real_node
from chordnet.net.base.addresses import Endpoints, client_endpoint
from chordnet.net.base.arguments import SETTING
from chordnet.net.base.interfaces import Core, KeyStore, MessageLog, StoreKeeper
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.runtime.keeping import StoreChoice
from chordnet.net.runtime.recorder import Recorder
from chordnet.settings import NodeSettings
from chordnet.storage.log.sqlite import Durability

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
    """

    rng: random.Random | None = None
    log: MessageLog | None = None
    core: CoreFactory = real_node
    endpoints: Endpoints = client_endpoint
    seconds: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    keys: KeyStore | None = None
    keeper: StoreKeeper | None = None


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
