"""One example of every message, for the tests of the wire format."""

from __future__ import annotations

from typing import Any

import msgspec

from chordnet.core.base import messages as core
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.wire import codec, greeting, orders, receipts, rpc, stores, watches
from chordnet.wire.stores import HeldKey
from chordnet.wire.trust import bundles, members
from chordnet.wire.trust.cookies import Shown

RAW = bytes(range(20))
NODE = core.NodeRef(RAW, 1760000000000, "10.0.0.1:7001", "Node 1")
OTHER = core.NodeRef(bytes(20), 1760000000001, "[::1]:7002", "Nœud 2")
LABEL = core.RingLabel(0, 12345)
ID = core.MessageId(RAW, 1760000000000, 3)
CHAIN = [b"certificate", b"its issuer's"]
SEAL = core.Seal(CHAIN, bytes(64))
PROOF = core.Proof(3, 1, bytes(64), bytes(32), [bytes(32)], CHAIN)
WITNESS = core.Witness(RAW, "Node 1", 1760000000000, bytes(64), CHAIN)
INFO = rpc.NodeInfo(RAW.hex(), "Node 1", "10.0.0.1:7001")
RECEIPT = rpc.Receipt(str(ID), "apple", 15, 16, 15, 4, 0.009, True, [INFO])
EVIDENCE = receipts.Evidence(
    3, 1, [bytes(32)], [receipts.NodeSignature("Node 1", RAW, 1760000000000, bytes(64), CHAIN)]
)
RECORD = rpc.MessageRecord(
    str(ID), "apple", 1760000000.5, 1760000000.6, [rpc.RouteHop(RAW.hex(), "Node 1", "origin")]
)
GAP = rpc.MessageGap(RAW.hex(), "Node 1", 1760000000000, 3, 5, False)
STATUS = rpc.NodeStatus(
    INFO, "default", "0.1.0", 160, 1760000000000, "active", INFO, [INFO],
    [rpc.FingerEntry(159, INFO)], "0:12345", 3, 0, 12.5, {"requests": 4},
)  # fmt: skip

TRACE = rpc.MessageTrace(str(ID), RECORD, [rpc.TraceEvent(1760000000.7, "duplicate", INFO)])
HISTORY = rpc.NodeHistory(
    [rpc.OriginHistory(RAW.hex(), 1760000000000, [1, 41, 42, 100], [7, 9], [60, 100])], 40, 59
)
TRAIL = rpc.MessageTrail(str(ID), bytes(16), 1760000000.6, [RAW.hex()])

ENTRY = Entry(b"blue", 3, 1760000060.0)
WRITTEN = rpc.Written(3, "0f" * 16, 63, 1, ["Node 4", "Node 9"], ["Node 12"], 1760000000.7)

MEMBER = stores.SlotMember("Node 4", "00c0ffee00c0ffee")
SLOT = stores.SlotState(63, 1, 4, [MEMBER], True, 4, False, 2, 512)
STORE = stores.StoreState(
    "0f" * 16, "", ["Node 1"], 256, 3, "00c0ffee00c0ffee", 2, True, False, 48, 1, 9, 4096, "",
    [SLOT],
)  # fmt: skip
STANDING = stores.StoreStanding(
    False, 48, 1, [stores.SlotStanding(63, 4, ["Node 4", "Node 9"], ["Node 9"], [], False)]
)
KEY_MEMBER = stores.KeyMember(
    "Node 4", "00c0ffee00c0ffee", 0.002, "", 3, "4.2 Node 9", 4, 1760000060.0
)
KEY_MEMBERS = stores.KeyMembers(63, 1, 4, [KEY_MEMBER])

SHOWN = Shown(1760000000, 7001, [bytes(32)])

GREETINGS: list[Any] = [
    greeting.Hello("chordnet", 1, "", 0, "client", None, 0, SHOWN),
    greeting.Hello("chordnet", 1, "default", 160, "peer", NODE, 1),
    greeting.Hello("chordnet", 1, "", 0, "client"),
    greeting.Welcome(1, NODE, "default", 160),
    greeting.Refuse("network", "this is network 'default', not 'other'"),
    greeting.Bye("idle"),
]
PEER_MESSAGES: list[Any] = [
    core.Ping(7),
    core.Pong(7, 3),
    core.GetState(8, 0),
    core.State(8, 3, LABEL, NODE, [NODE, OTHER], None),
    core.Notify(),
    core.Changed(),
    core.Leaving(NODE, [OTHER]),
    core.FingerHint(NODE, True, bytes(20), RAW, 16),
    core.TryMerge(NODE, 8),
    core.Find(9, NODE, RAW, 0, [NODE, OTHER], 62, False),
    core.Found(9, OTHER, [NODE, OTHER], LABEL),
    core.FindFailed(9, "not in a ring"),
    core.FindNext(10, RAW, 1, [bytes(20)], True),
    core.Next(10, False, [OTHER], False, None),
    core.Bcast(ID, 1, 1760000000.5, 64, RAW, 2, [core.Hop(RAW, "Node 1", 0)], [b"apple"]),
    core.Ack(ID, RAW, False),
    core.Bodies(ID, [b"apple"]),
    core.Covered(ID, RAW, 4, 3, 2, True, [OTHER]),
    core.Compare(2**63),
    core.Have([], [(RAW, 1760000000000)], [core.OriginState(RAW, 1760000000000, [1, 8, 9, 12])]),
    core.Want([core.Range(RAW, 1760000000000, 8, 9)]),
    core.Caught(ID, 1760000000.5, [core.Hop(RAW, "Node 1", 0)], b"apple"),
    core.Lost([core.Range(RAW, 1760000000000, 8, 9)]),
    core.Given(False),
    core.StoreMail(b"\x90"),
    core.MarkedBcast(
        ID, 1, 1760000000.5, 64, RAW, 2, [core.Hop(RAW, "Node 1", 0)], [b"apple"], [], b"", SEAL, 2
    ),
    core.MarkedCovered(ID, RAW, 4, 3, 2, True, [OTHER], 0, 0, [WITNESS]),
    core.MarkedCaught(ID, 1760000000.5, [core.Hop(RAW, "Node 1", 0)], b"apple", PROOF),
]
BETWEEN_SECURED: list[Any] = [
    bundles.BundleVersion(3),
    bundles.BundleText(4, b"signed"),
]
CERTIFIED = members.Certified(
    "Node 1", "peer", "6b0c8f5f0de9ea98534f4629d463d0e4e0e1", 1760000000.0, 1762592000.0, "Node 2"
)
CERTIFICATES = members.NodeCertificates(
    "0f" * 16, CERTIFIED, 1761300000.0, "", 3, ["49c4de0940679405"], "49c4de0940679405",
    ["berlin-1"], ["Node 1", "Node 2"], 1791600000.0, 1, [CERTIFIED], 1760000001.5,
)  # fmt: skip
REVISION = Revision(6, b"green", 1760000060.5, (4, 5))
REMOVED = Revision(7, None)
HELD = HeldKey("config", 7, 5, None, 63)
STALE = StaleEntry(ENTRY, "Node 4", 1, 0.25)
RECOVERY = stores.SlotRecovery(
    63, "recovered", 1 << 40, 5, ["Node 2", "Node 5"], ["Node 4", "Node 9"], ["Node 2"], 1, 7,
    1760000000.25,
)  # fmt: skip
REQUESTS: list[Any] = [
    rpc.SendMessage(1, "apple"),
    rpc.GetMessages(2, 10, str(ID)),
    rpc.Follow(3, str(ID), "origin"),
    rpc.Unfollow(3),
    rpc.GetStatus(4),
    rpc.Lookup(5, "apple", True),
    rpc.LeaveRing(6),
    rpc.GetTrace(7, str(ID)),
    rpc.GetHistory(8, f"{RAW.hex()}.1760000000000"),
    rpc.GetTrails(9, 10, str(ID)),
    rpc.BeginRing(10),
    rpc.GetKey(11, "config", 5.0),
    rpc.PutKey(12, "config", b"blue", 2, 60.0, b"0123456789abcdef", 2, 5.0),
    rpc.DeleteKey(13, "config", 2, b"0123456789abcdef", 2, 5.0),
    rpc.GetStoreState(14, 64),
    rpc.VacateSeats(15),
    rpc.CanStop(16),
    rpc.InspectKey(17, "config"),
    rpc.GetMembers(18),
    watches.WatchKey(16, "config", 2),
    watches.GetHeldKeys(17, "config", True),
    orders.RecoverSlots(18, [63, 107], True, 5.0),
    orders.BeginStore(19, ["Node 1", "Node 2", "Node 3"]),
    orders.SetStoreAside(20, "3f9c12d0"),
    members.Invite(21, "peer", "berlin-1", "", 1, 3600.0),
    members.GetCertificates(22),
    members.GiveBundle(23, b"signed"),
    members.AskIssuerKey(24),
    members.CertifyIssuer(25, b"certificate"),
]
REPLIES: list[Any] = [
    rpc.Sent(1, RECEIPT),
    rpc.Messages(2, [RECORD], False),
    rpc.StatusReply(4, STATUS),
    rpc.LookupReply(5, rpc.LookupResult("apple", RAW.hex(), INFO, [INFO])),
    rpc.Done(6),
    rpc.Failure(5, "NotInRing", "Node 1 is joining, not in a ring; wait and ask again"),
    rpc.TraceReply(7, TRACE),
    rpc.Ordered(3, [rpc.OrderedEntry(RECORD, True), rpc.OrderedEntry(None, gap=GAP)], False),
    rpc.HistoryReply(8, HISTORY, True),
    rpc.Trails(9, [TRAIL], False),
    rpc.WrittenReply(12, WRITTEN),
    rpc.EntryReply(11, ENTRY),
    rpc.ConflictReply(12, "'config' has version 3, not 2", ENTRY),
    rpc.UnconfirmedReply(12, "it is not known", b"0123456789abcdef", 2),
    rpc.UnavailableReply(12, "1 of 3 members answers", 63, 1, 3, ["Node 4", "Node 9"]),
    rpc.StoreStateReply(14, STORE, True),
    rpc.StandingReply(16, STANDING),
    rpc.KeyMembersReply(17, KEY_MEMBERS),
    rpc.MembersReply(18, [INFO, INFO]),
    watches.Revisions(16, [REVISION, REMOVED]),
    watches.HeldKeysReply(17, [HELD], True),
    watches.StaleReply(11, STALE),
    orders.RecoveryReply(18, [RECOVERY]),
    orders.AsideReply(20, "/state/store-aside-3f9c12d0"),
    members.InviteReply(21, "chordnet1-abc", 1760003600.0),
    members.CertificatesReply(22, CERTIFICATES),
    members.BundleReply(23, 4),
    members.IssuerKeyReply(24, b"request"),
    members.IssuerReply(25, 1791600000.0),
    rpc.Sent(1, msgspec.structs.replace(RECEIPT, named=["Node 1"], evidence=EVIDENCE)),
]
EXAMPLES = [*GREETINGS, *PEER_MESSAGES, *BETWEEN_SECURED, *REQUESTS, *REPLIES]


def reader_of(message: Any) -> Any:
    """Return who reads such a message."""
    if isinstance(message, greeting.Hello):
        return codec.read_hello
    if isinstance(message, (greeting.Welcome, greeting.Refuse)):
        return codec.read_answer
    if type(message) in {type(m) for m in REQUESTS}:
        return codec.read_request
    if type(message) in {type(m) for m in REPLIES}:
        return codec.read_reply
    return codec.read_peer
