"""Names and addresses: ``host:port`` texts, their endpoints, and the address to advertise."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)

from chordnet.core.errors import ConfigError
from chordnet.core.naming import NAME_LIMIT, format_address, parse_address, usable_name

_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound to
# A documentation address (RFC 5737): connecting a datagram socket to it sends nothing.
_ELSEWHERE = ("192.0.2.1", 9)


def checked_name(what: str, name: str) -> str:
    """Return ``name`` if it can be a node's or network's name.

    :raises ConfigError: it is empty, too long or has control characters.
    """
    if not usable_name(name):
        raise ConfigError(f"{what} {name!r} must be 1 to {NAME_LIMIT} printable characters")
    return name


def client_endpoint(reactor: Any, address: str, timeout_s: float) -> Any:
    """Return the endpoint that dials ``address``.

    A literal address is dialled directly: a name's endpoint waits between the addresses it
    resolves to, and resolves in a thread.
    """
    host, port = parse_address(address)
    timeout: Any = timeout_s
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    return HostnameEndpoint(reactor, host.encode("idna"), port, timeout)


def advertised_address(listening: Any, advertise: str | None) -> str:
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
    return format_address(own_address() if host in _ANYWHERE else host, port)


def checked_advertise(advertise: str | None) -> str | None:
    """Return what is to be advertised, None for what is listened on.

    :raises ConfigError: it can be nobody's address.
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
        raise ConfigError(f"{advertise!r} cannot be advertised: nobody can connect to {host}")
    return format_address(host, port or bound_port)


def own_address() -> str:
    """Return the address this machine uses towards other machines; 127.0.0.1 when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        host: str = probe.getsockname()[0]
        return host


__all__ = [
    "advertised_address", "checked_advertise", "checked_name", "client_endpoint", "format_address",
    "own_address", "parse_address",
]  # fmt: skip
