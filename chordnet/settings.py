"""The settings of a node, each declared once, and how they are read.

:class:`NodeSettings` has one field for each. A field made by :func:`option` is also an option of
``twistd chordnode``, a key of its TOML file and a variable of the environment; the command's help,
the checks and the reference pages are made from the same declaration. The command line wins over
the environment, the environment over the file.

There are two checks, since both users and programs set values. What a user writes, a text or a TOML
value, goes through :meth:`chordnet.kinds.Kind.read`, whose errors use the words of the command
line. What a program passes to :class:`NodeSettings` goes through the field's validator, whose
errors use the words of Python. The result of the first goes through the second, so no rule is
stated twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.store.base.founding import (
    MOST_FOUNDERS,
    MOST_REPLICAS,
    MOST_SLOTS,
    REPLICAS,
    SLOTS,
)
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.kinds import (
    Addresses,
    Check,
    Flag,
    Kind,
    Names,
    NumberOf,
    OneOf,
    OwnPort,
    Seconds,
    Text,
    Whole,
    addresses,
    names,
    read_own_port,
)
from chordnet.net.base.addresses import (
    LOOPBACK,
    checked_advertise,
    checked_name,
    confined,
    is_loopback,
    leads_anywhere,
    parse_address,
)
from chordnet.net.base.arguments import SETTING
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.runtime.keeping import StoreChoice
from chordnet.net.runtime.recorder import RECORD_BYTES
from chordnet.storage.base.limits import HISTORY_BYTES, HISTORY_S
from chordnet.storage.log.sqlite import Durability
from chordnet.trust.identity import Identity

T = TypeVar("T")
SealChoice = Literal["always", "asked"]
"""Which messages are sealed in a network with certificates: all, or those of signed receipts."""

DEFAULT_PORT = 7001
EVERYWHERE = ("*", "auto", "")
"""Names for all interfaces."""
_WAYS = "--join TOKEN (from p2pnet invite) or --identity DIR"
MAX_PEERS = 64


# ---- declarations ---------------------------------------------------------------------------


@attrs.frozen
class Option:
    """How users write a setting."""

    name: str
    """On the command line, behind the two dashes."""
    key: str
    """In the file; the names of variables are made from it, too."""
    short: str
    """One letter, "" for none."""
    help: str
    default: Any
    """As a user would write it."""
    default_text: str
    """The default, for people to read."""
    kind: Kind
    into: Callable[[Any], Any]
    """Converts what was read into the field's value."""

    @property
    def variable(self) -> str:
        """The name of the variable, without a prefix."""
        return self.key.replace("-", "_").upper()


def _same(value: Any) -> Any:
    return value


def option(
    name: str,
    *,
    kind: Kind,
    help: str,  # noqa: A002 - what it is
    default: Any = None,
    default_text: str = "",
    short: str = "",
    key: str = "",
    into: Callable[[Any], Any] = _same,
    check: Check | None = None,
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    """Declare a field of :class:`NodeSettings` that is an option as well.

    :param name: on the command line.
    :param kind: what a user may write.
    :param default: as a user would write it.
    :param default_text: the default in words, if the value does not explain itself.
    :param short: one letter for the command line.
    :param key: in the file and the environment, if it differs from ``name``.
    :param into: converts what a user writes into the field's value, if the two differ.
    :param check: for what a program passes, if it differs from the check of ``kind``.
    :param converter: as for ``attrs.field``.
    """
    said = Option(name, key or name, short, help, default, default_text or str(default), kind, into)
    return _field(help, into(default), check or kind.check, converter, option=said)


def _field(
    text: str,
    default: Any,
    check: Check,
    converter: Callable[[Any], Any] | None = None,
    **metadata: Any,
) -> Any:
    """Declare a field that only programs set, or any field with further ``metadata``."""
    return attrs.field(
        default=default,
        converter=converter,
        validator=lambda _settings, field, value: check(field.name, value),
        metadata={"help": text, **metadata},
    )


def _check_name(what: str, value: Any) -> None:
    SETTING.instance(what, value, str, optional=True)
    if value is not None:
        checked_name(what, value)


def _check_network(what: str, value: Any) -> None:
    SETTING.text(what, value)
    checked_name(what, value)


def _check_advertise(what: str, value: Any) -> None:
    SETTING.instance(what, value, str, optional=True)
    checked_advertise(value)


def _check_path(what: str, value: Any) -> None:
    SETTING.instance(what, value, str, os.PathLike, optional=True)


def _check_identity(what: str, value: Any) -> None:
    SETTING.instance(what, value, str, os.PathLike, Identity, optional=True)


def _check_is(kind: type) -> Check:
    return lambda what, value: SETTING.instance(what, value, kind)


@attrs.frozen(kw_only=True)
class NodeSettings:
    """The settings of a node. Frozen; ``attrs.evolve`` makes a changed copy.

    :raises ConfigError: a setting is unusable; the text says which and what is accepted.
    """

    port: int = option(
        "port",
        short="p",
        kind=Whole(0, 65535),
        default=DEFAULT_PORT,
        help="Port for peers and clients, 0 for any free one",
    )
    interface: str | None = option(
        "interface",
        short="i",
        kind=Text(),
        default_text="127.0.0.1; all interfaces with an identity or --insecure",
        help="Address to listen on",
    )
    insecure: bool = option(
        "insecure",
        kind=Flag(),
        default=False,
        default_text="no",
        help="Let others reach this node although it has no identity: anybody who can may join",
    )
    advertise: str | None = option(
        "advertise",
        short="a",
        kind=Text(),
        default_text="worked out",
        check=_check_advertise,
        help="HOST:PORT at which others reach this node",
    )
    peers: Sequence[str] = option(
        "peer",
        key="peers",
        kind=Addresses(MAX_PEERS),
        default=(),
        default_text="none",
        converter=addresses,
        help="HOST:PORT of a node to join through; may be given several times.",
    )
    name: str | None = option(
        "name",
        short="n",
        kind=Text(),
        default_text="that of its identity, else its address",
        check=_check_name,
        help="The node's name, its own in the whole network",
    )
    identity: str | os.PathLike[str] | Identity | None = option(
        "identity",
        kind=Text(),
        default_text="none",
        check=_check_identity,
        help="Directory of the node's certificate and key: let in members alone, over TLS",
    )
    join: str | None = option(
        "join",
        kind=Text(),
        default_text="none",
        help="Token of p2pnet invite: get an identity with it, unless there is one already",
    )
    network: str = option(
        "network", kind=Text(), default="default", check=_check_network, help="Name of the network"
    )
    config: ProtocolConfig = option(
        "bits",
        kind=Whole(3, 256),
        default=ProtocolConfig().bits,
        into=lambda bits: ProtocolConfig(bits=bits),
        check=_check_is(ProtocolConfig),
        help="Width of identifiers, the same in the whole network",
    )
    state_dir: str | os.PathLike[str] | None = option(
        "state-dir",
        short="s",
        kind=Text(),
        default_text="none",
        check=_check_path,
        help="Directory that keeps identity and messages over restarts",
    )
    cookie: str | os.PathLike[str] | None = option(
        "cookie",
        kind=Text(),
        default_text="cookie in the state directory",
        check=_check_path,
        help="File whose content a client shows to operate this node; made if it is missing",
    )
    operate_keys: str = option(
        "operate-keys",
        kind=Text(),
        default="",
        default_text="none",
        check=SETTING.text,
        help="Keys that begin so are written by operators alone; the same at each node",
    )
    durability: Durability = option(
        "durability",
        kind=OneOf(get_args(Durability)),
        default="process",
        help="What a recorded message survives: process (kill -9) or power",
    )
    history_bytes: int = option(
        "history-bytes",
        kind=Whole(1, 1 << 40),
        default=HISTORY_BYTES,
        check=SETTING.count,
        help="Messages kept, in bytes",
    )
    history_s: float = option(
        "history-hours",
        kind=Whole(1, 1 << 20),
        default=int(HISTORY_S / 3600),
        into=lambda hours: hours * 3600.0,
        check=SETTING.seconds,
        help="How long messages are kept",
    )
    alone: bool = option(
        "alone",
        kind=Flag(),
        default=False,
        default_text="no",
        help="Create a ring if none of the peers answers",
    )
    debug: bool = option(
        "debug", kind=Flag(), default=False, default_text="no", help="Log single messages too"
    )
    record: str | os.PathLike[str] | None = option(
        "record",
        kind=Text(),
        default_text="none",
        check=_check_path,
        help="File to record every event in, for p2pnet replay",
    )
    record_bytes: int = option(
        "record-bytes",
        kind=Whole(4096, 1 << 40),
        default=RECORD_BYTES,
        help="How long that file may get",
    )
    leave_timeout_s: float = option(
        "leave-timeout",
        kind=Seconds(0, 3600),
        default=5.0,
        help="Seconds that a stop waits for the ordered leave",
    )
    founders: Sequence[str] = option(
        "founders",
        kind=Names(MOST_FOUNDERS),
        default=(),
        default_text="none",
        converter=names,
        help="Names of the nodes that begin the store, with commas between; the same at each",
    )
    store: StoreChoice = option(
        "store",
        kind=OneOf(get_args(StoreChoice)),
        default="auto",
        help="Where keys are held: auto (the state directory), memory, or none: by others only",
    )
    slots: int = option(
        "slots",
        kind=NumberOf(tuple(1 << power for power in range(MOST_SLOTS.bit_length()))),
        default=SLOTS,
        help="Parts that keys are divided into, a power of two; the founders decide",
    )
    replicas: int = option(
        "replicas",
        kind=NumberOf(tuple(range(1, MOST_REPLICAS + 1, 2))),
        default=REPLICAS,
        help="Nodes that hold each key, an odd number; the founders decide",
    )
    http: str | None = option(
        "http",
        kind=OwnPort(),
        default_text="none",
        help="[ADDRESS:]PORT for /metrics, /ready, /live and /status; 127.0.0.1 without ADDRESS",
    )
    seals: SealChoice = option(
        "seals",
        kind=OneOf(get_args(SealChoice)),
        default="always",
        help="With certificates: which messages are sealed, always or asked; all nodes the same",
    )
    limits: NetworkLimits = option(
        "max-clients",
        kind=Whole(1, 65_536),
        default=NetworkLimits().max_clients,
        into=lambda clients: NetworkLimits(max_clients=clients),
        check=_check_is(NetworkLimits),
        help="Clients served at the same time",
    )

    def of_store(self, name: str, *, seat: bool, aside: tuple[bytes, ...] = ()) -> StoreSettings:
        """Return the settings of the node's store.

        :param seat: whether it holds keys for others.
        :param aside: formations whose stores were set aside here; such a node joins what it meets.
        """
        founders = () if aside else tuple(self.founders)
        if seat and not founders and not self.peers and not aside:
            founders = (name,)
        bits = self.config.bits
        return StoreSettings(
            network=self.network,
            bits=bits,
            founders=founders,
            slots=min(self.slots, 1 << bits),
            replicas=self.replicas,
            aside=aside,
            seat=seat,
        )

    @property
    def secured(self) -> bool:
        """Whether the node shows who it is, and asks others to."""
        return self.identity is not None or self.join is not None

    @property
    def bound(self) -> str:
        """The address to listen on, "" for all."""
        if self.interface is None:
            return "" if self.secured or self.insecure else LOOPBACK
        return "" if self.interface in EVERYWHERE else self.interface

    def security(self, host: str | None) -> str:
        """Return who can reach the node, in one word, as its status says it.

        :param host: what it listens on; None if that is no address of a machine.
        :raises ConfigError: others could reach it, and it has no identity; or its peers could not.
        """
        here = host is None or is_loopback(host)
        if not here and not self.secured and not self.insecure:
            where = "all interfaces" if leads_anywhere(host) else host
            raise ConfigError(
                f"on {where} other machines reach this node, and it has no identity: give it one"
                f" with {_WAYS}, or let anybody in with --insecure"
            )
        far = [peer for peer in self.peers if not is_loopback(parse_address(peer)[0])]
        if here and host is not None and far and self.advertise is None:
            ways = f"have it listen for others with {_WAYS}, or for anybody with --insecure"
            if self.secured or self.insecure:
                ways = "leave --interface out, or name one that others reach"
            raise ConfigError(
                f"the peer {far[0]} is on another machine, which does not reach this node on"
                f" {host}: {ways}"
            )
        if self.secured:
            return "secured"
        return "loopback" if here else "insecure"

    @property
    def web(self) -> tuple[str, int] | None:
        """The address and port of :attr:`http`."""
        return None if self.http is None else read_own_port("http", self.http)

    @property
    def listen(self) -> str:
        """The server endpoint's description."""
        return listen_description(self.port, self.bound)

    def listening(self, told: T | str | None) -> T | str:
        """Return what to listen on.

        :param told: an endpoint, or its description: without an interface it means this machine
            alone, unless the node may be reached by others. None: as the settings say.
        """
        if not isinstance(told, str):
            return self.listen if told is None else told
        return told if self.secured or self.insecure else confined(told)


def listen_description(port: int, interface: str | None) -> str:
    """Return the endpoint description for a port on an interface; None for all interfaces."""
    if not interface or interface in EVERYWHERE:
        return f"tcp:{port}"
    host = interface.strip("[]")
    kind = "tcp6" if ":" in host else "tcp"
    escaped = host.replace(":", r"\:")
    return f"{kind}:{port}:interface={escaped}"


OPTIONS: Mapping[str, Option] = {
    field.name: field.metadata["option"]
    for field in attrs.fields(NodeSettings)
    if "option" in field.metadata
}
"""The options, by the names of their fields."""
CONFIG = Option("config", "config", "c", "TOML file with these options", None, "none", Text(), Path)
"""The option that names the file; it is not a setting of the node."""
