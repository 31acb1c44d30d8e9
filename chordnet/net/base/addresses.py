"""Names and addresses: ``host:port`` texts, their endpoints, and the address to advertise."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.naming import NAME_LIMIT, format_address, parse_address, usable_name
from chordnet.net.base.interfaces import IReactor

Endpoints = Callable[[IReactor, str, float], IStreamClientEndpoint]
"""What makes an endpoint from the reactor, an address, and a timeout in seconds."""

LOOPBACK = "127.0.0.1"
_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound to
# Documentation addresses (RFC 5737, RFC 3849): connecting a datagram socket to one sends nothing.
_ELSEWHERE = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}


def checked_name(what: str, name: str) -> str:
    """Return ``name`` if it can be a node's or network's name.

    :raises ConfigError: it is empty, too long or has control characters.
    """
    if not usable_name(name):
        raise ConfigError(f"{what} {name!r} must be 1 to {NAME_LIMIT} printable characters")
    return name


def client_endpoint(reactor: IReactor, address: str, timeout_s: float) -> IStreamClientEndpoint:
    """Return the endpoint that dials ``address``.

    A literal address is dialled directly. The endpoint for a name resolves it in a thread, and
    waits between the addresses it resolves to.
    """
    host, port = parse_address(address)
    timeout: Any = timeout_s  # Twisted says int, and waits for a float as well
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    return HostnameEndpoint(reactor, host.encode("idna"), port, timeout)


def source_address(family: socket.AddressFamily) -> str | None:
    """Return the address that this machine uses towards others; None if it has no route."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(_ELSEWHERE[family])
            host: str = probe.getsockname()[0]
    except OSError:
        return None
    return host if leads_here(host) else None


def is_loopback(host: str) -> bool:
    """Return True if only programs of this machine reach a node that listens on ``host``.

    A name other than ``localhost`` counts as another machine's: it is not looked up.
    """
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def confined(listen: str) -> str:
    """Return a description that names no interface with that of this machine alone."""
    kind, _colon, rest = listen.partition(":")
    if kind not in ("tcp", "tcp4", "tcp6") or "interface=" in rest:
        return listen
    return rf"{listen}:interface=\:\:1" if kind == "tcp6" else f"{listen}:interface={LOOPBACK}"


def leads_anywhere(host: str | None) -> bool:
    """Return True if to listen on ``host`` is to listen on all interfaces."""
    return host in _ANYWHERE


def leads_here(host: str) -> bool:
    """Return True if other machines can reach this one at ``host``, one of its own addresses."""
    # A link-local address means something only together with the name of an interface.
    return host not in _ANYWHERE and not host.startswith("fe80:")


def advertised_address(listening: IAddress, advertise: str | None) -> str:
    """Return the address at which other nodes reach a listening port.

    :param listening: the port's own address (``IListeningPort.getHost()``).
    :param advertise: what the configuration says: ``host:port``, ``host``, ``host:0`` (both with
        the bound port), or nothing: the interface listened on, or on all interfaces the address
        that this machine uses towards others.
    :raises ConfigError: ``advertise`` is none of these.
    """
    port = getattr(listening, "port", 0)
    if advertise:
        return _stated_address(advertise, port)
    host = getattr(listening, "host", "")
    return format_address(own_address(ipv6=host == "::") if host in _ANYWHERE else host, port)


def checked_advertise(advertise: str | None) -> str | None:
    """Return what is to be advertised, None for what is listened on.

    :raises ConfigError: no node can have this address.
    """
    if advertise in (None, "", "auto"):
        return None
    _stated_address(advertise, 0)
    return advertise


def _stated_address(advertise: str, bound_port: int) -> str:
    plain_host = ":" not in advertise or isIPv6Address(advertise)
    text = format_address(advertise, 0) if plain_host else advertise
    host, port = parse_address(text, any_port=True)
    if host in _ANYWHERE:
        raise ConfigError(f"{advertise!r} cannot be advertised: no node can connect to {host}")
    return format_address(host, port or bound_port)


def own_address(
    *, ipv6: bool = False, source: Callable[[socket.AddressFamily], str | None] = source_address
) -> str:
    """Return the address this machine uses towards other machines; 127.0.0.1 when it has none.

    :param ipv6: the port also listens on IPv6, so an IPv6 address will do if there is no IPv4.
    :param source: returns the address used with one family; None if it has no route.
    """
    found = source(socket.AF_INET)
    if found is None and ipv6:
        return source(socket.AF_INET6) or "::1"
    return found or "127.0.0.1"


__all__ = [
    "LOOPBACK",
    "advertised_address",
    "checked_advertise",
    "checked_name",
    "client_endpoint",
    "confined",
    "format_address",
    "is_loopback",
    "leads_anywhere",
    "own_address",
    "parse_address",
]
