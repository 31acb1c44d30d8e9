"""Names and addresses: what a node may be called, and where others may be told to reach it."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.identifiers import IdentifierSpace

NAME_LIMIT = 255
"""Characters of the longest node name, network name or address."""

_SHOWN = 120
"""Characters of an address that a complaint quotes."""

Host = tuple[str, int]


def usable_name(name: str) -> bool:
    """Return True if ``name`` is short and printable: fit for a node, a network or an address."""
    return 0 < len(name) <= NAME_LIMIT and name.isprintable()


def parse_address(text: str, *, any_port: bool = False) -> Host:
    """Split ``host:port``, ``[v6]:port`` or ``tcp:host:port`` into host and port.

    :param any_port: also accept port 0.
    :raises ConfigError: ``text`` is none of these, or its host cannot be a host name.
    """
    host, colon, port = text.removeprefix("tcp:").rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    plain = bool(host) and usable_name(text) and not any(c.isspace() or c in "/@[]=" for c in host)
    shown = text[:_SHOWN]
    if not colon or not plain or (":" in host and not _is_ipv6(host)):
        raise ConfigError(
            f"{shown!r} is not an address; write HOST:PORT, for example 10.0.0.5:7001"
        )
    if not (port.isascii() and port.isdigit() and (0 if any_port else 1) <= int(port) <= 65535):
        raise ConfigError(
            f"{shown!r} has no valid port; write HOST:PORT with a port from 1 to 65535"
        )
    if not _is_host(host):
        raise ConfigError(
            f"{shown!r} is not an address: {host[:_SHOWN]!r} cannot be a host's name (each part"
            " between its dots needs 1 to 63 letters); write HOST:PORT, for example 10.0.0.5:7001"
        )
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def usable_address(text: str) -> bool:
    """Return True if ``text`` is an address that a node can be dialled at."""
    try:
        parse_address(text)
    except ConfigError:
        return False
    return not text.startswith("tcp:")


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _is_host(host: str) -> bool:
    """Return True if a resolver can look ``host`` up: it can be encoded as IDNA (RFC 3490)."""
    try:
        host.encode("idna")
    except UnicodeError:
        return ":" in host  # a literal IPv6 address is not looked up
    return True


class Names:
    """The rules for names and addresses that hold in a real network."""

    def __init__(self, space: IdentifierSpace) -> None:
        self._space = space

    def identifier(self, name: str) -> bytes | None:
        """Return the one identifier of a node with this name; None if no node may have it."""
        if not usable_name(name):
            return None
        return self._space.raw(self._space.hash(name.encode()))

    def reachable(self, address: str) -> bool:
        """Return True if a node can be dialled at ``address``."""
        return usable_address(address)
