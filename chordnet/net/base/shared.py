"""What the parts of one node's runtime share: who it is, its reactor and clocks, its limits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence

import attrs

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.addresses import Endpoints, client_endpoint
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.tls.credentials import Credentials


@attrs.frozen(kw_only=True)
class Shared:
    """One node's surroundings, made once and handed to each part of its runtime."""

    reactor: IReactor
    turn: Turn
    me: NodeRef
    """The node, as it greets."""
    network: str
    space: IdentifierSpace
    journal: Journal
    limits: NetworkLimits
    frame_limit: int
    """Bytes of the longest frame that is taken."""
    rng: random.Random
    seconds: Callable[[], float] = time.monotonic
    """A clock that never goes back; the reactor's own follows the wall clock."""
    wall: Callable[[], float] = time.time
    """Returns the wall clock in seconds since 1970."""
    endpoints: Endpoints = client_endpoint
    cookies: Sequence[bytes] = ()
    """Those of which a client shows one to operate the node."""
    ports: Collection[int] = ()
    """Where clients reach it."""
    operate_keys: str = ""
    """Keys that begin so are written by operators alone; empty for none."""
    security: str = "loopback"
    """Who can reach the node, as its status says: ``loopback``, ``insecure`` or ``secured``."""
    credentials: Credentials | None = None
    """What the node shows of itself, and whom it believes; None if it is not secured."""
