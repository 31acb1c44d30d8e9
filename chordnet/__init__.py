"""chordnet: a peer-to-peer network without a centre.

The public names can be imported from here, and are loaded when they are first used::

    from chordnet import ChordService, P2PNetClient, TimedOut

``import chordnet`` itself loads none of them, and nothing of Twisted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chordnet.client import ClientHistory, Following, P2PNetClient, p2pnetClient
    from chordnet.core.base.config import FingerUpkeep, ProtocolConfig, Safeguards
    from chordnet.core.base.effects import (
        FingersChanged,
        Joined,
        LeftRing,
        Misbehaved,
        PeerDied,
        PeersKnown,
        Record,
        RingChanged,
        StatusChanged,
        Traced,
        TraceKind,
    )
    from chordnet.core.base.errors import (
        BroadcastFailed,
        Busy,
        ChordnetError,
        ConfigError,
        Conflict,
        ConnectFailed,
        InvalidKey,
        InvalidMessage,
        InvalidValue,
        LocalProtocolError,
        LogFailed,
        LookupFailed,
        NoStore,
        NotInRing,
        NotIssuer,
        NotPermitted,
        Refused,
        RemoteProtocolError,
        StoreFailed,
        TimedOut,
        Unavailable,
        Unconfirmed,
        Untold,
        WatchEnded,
    )
    from chordnet.core.base.messages import EdgeKind, Hop, MessageId, NodeRef, RingLabel, Status
    from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
    from chordnet.net.base.limits import NetworkLimits
    from chordnet.net.handles.watching import KeyWatch
    from chordnet.net.observe.hooks import Subscription
    from chordnet.net.runtime.delivery import Delivery
    from chordnet.seams import Seams
    from chordnet.server import P2PNetServer, p2pnetServer
    from chordnet.service import ChordService
    from chordnet.settings import NodeSettings
    from chordnet.storage.base.database import Durability
    from chordnet.wire.receipts import Evidence, NodeSignature
    from chordnet.wire.rpc import (
        FingerEntry,
        LookupResult,
        MessageGap,
        MessageRecord,
        MessageTrace,
        MessageTrail,
        NodeHistory,
        NodeInfo,
        NodeStatus,
        Order,
        OrderedEntry,
        OriginHistory,
        Receipt,
        RouteHop,
        TraceEvent,
        Written,
    )
    from chordnet.wire.stores import (
        HeldKey,
        KeyMember,
        KeyMembers,
        SlotMember,
        SlotStanding,
        SlotState,
        StoreStanding,
        StoreState,
    )

__version__ = "0.1.0"

# The module of each name. A test compares this, the imports above and ``__all__``.
_NAMES = {
    "chordnet.client": "ClientHistory Following P2PNetClient p2pnetClient",
    "chordnet.core.base.config": "FingerUpkeep ProtocolConfig Safeguards",
    "chordnet.core.base.effects": "FingersChanged Joined LeftRing Misbehaved PeerDied PeersKnown"
    " Record RingChanged StatusChanged TraceKind Traced",
    "chordnet.core.base.errors": "BroadcastFailed Busy ChordnetError ConfigError Conflict"
    " ConnectFailed InvalidKey InvalidMessage InvalidValue LocalProtocolError LogFailed"
    " LookupFailed NoStore NotInRing NotIssuer NotPermitted Refused RemoteProtocolError StoreFailed"
    " TimedOut"
    " Unavailable Unconfirmed Untold WatchEnded",
    "chordnet.core.base.messages": "EdgeKind Hop MessageId NodeRef RingLabel Status",
    "chordnet.core.base.outcomes": "Entry Revision StaleEntry",
    "chordnet.net.handles.watching": "KeyWatch",
    "chordnet.net.base.limits": "NetworkLimits",
    "chordnet.net.observe.hooks": "Subscription",
    "chordnet.net.runtime.delivery": "Delivery",
    "chordnet.server": "P2PNetServer p2pnetServer",
    "chordnet.seams": "Seams",
    "chordnet.service": "ChordService",
    "chordnet.settings": "NodeSettings",
    "chordnet.storage.base.database": "Durability",
    "chordnet.wire.receipts": "Evidence NodeSignature",
    "chordnet.wire.rpc": "FingerEntry LookupResult MessageGap MessageRecord MessageTrace"
    " MessageTrail NodeHistory NodeInfo NodeStatus Order OrderedEntry OriginHistory Receipt"
    " RouteHop TraceEvent Written",
    "chordnet.wire.stores": "HeldKey KeyMember KeyMembers SlotMember SlotStanding SlotState"
    " StoreStanding StoreState",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "BroadcastFailed",
    "Busy",
    "ChordService",
    "ChordnetError",
    "ClientHistory",
    "ConfigError",
    "Conflict",
    "ConnectFailed",
    "Delivery",
    "Durability",
    "EdgeKind",
    "Entry",
    "Evidence",
    "FingerEntry",
    "FingerUpkeep",
    "FingersChanged",
    "Following",
    "HeldKey",
    "Hop",
    "InvalidKey",
    "InvalidMessage",
    "InvalidValue",
    "Joined",
    "KeyMember",
    "KeyMembers",
    "KeyWatch",
    "LeftRing",
    "LocalProtocolError",
    "LogFailed",
    "LookupFailed",
    "LookupResult",
    "MessageGap",
    "MessageId",
    "MessageRecord",
    "MessageTrace",
    "MessageTrail",
    "Misbehaved",
    "NetworkLimits",
    "NoStore",
    "NodeHistory",
    "NodeInfo",
    "NodeRef",
    "NodeSettings",
    "NodeSignature",
    "NodeStatus",
    "NotInRing",
    "NotIssuer",
    "NotPermitted",
    "Order",
    "OrderedEntry",
    "OriginHistory",
    "P2PNetClient",
    "P2PNetServer",
    "PeerDied",
    "PeersKnown",
    "ProtocolConfig",
    "Receipt",
    "Record",
    "Refused",
    "RemoteProtocolError",
    "Revision",
    "RingChanged",
    "RingLabel",
    "RouteHop",
    "Safeguards",
    "Seams",
    "SlotMember",
    "SlotStanding",
    "SlotState",
    "StaleEntry",
    "Status",
    "StatusChanged",
    "StoreFailed",
    "StoreStanding",
    "StoreState",
    "Subscription",
    "TimedOut",
    "TraceEvent",
    "TraceKind",
    "Traced",
    "Unavailable",
    "Unconfirmed",
    "Untold",
    "WatchEnded",
    "Written",
    "p2pnetClient",
    "p2pnetServer",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
