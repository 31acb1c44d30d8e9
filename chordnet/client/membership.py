"""What a client can ask and order of a node that is about certificates."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chordnet.client.calls import (
    CERTIFICATES,
    CERTIFY_ISSUER,
    GIVE_BUNDLE,
    INVITE,
    ISSUER_KEY,
)
from chordnet.client.channel import Channel
from chordnet.net.base.arguments import refusing
from chordnet.wire.trust.members import InviteReply, NodeCertificates


class MembershipCalls:
    """Calls about certificates, of a secured node; as ``client.membership``.

    They fail with :class:`LocalProtocolError` if the node is not secured, and with
    :class:`NotPermitted` if the client's role does not cover them: all but :meth:`certificates`
    need the role ``operate``.
    """

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s

    @refusing
    def certificates(self) -> Deferred[NodeCertificates]:
        """Return what the node knows of certificates: its own, the network's, its clients'."""
        return self._channel.ask(CERTIFICATES, (), self._timeout_s)

    @refusing
    def invite(
        self,
        role: str = "peer",
        *,
        name: str = "",
        prefix: str = "",
        uses: int = 1,
        lifetime_s: float = 3600.0,
    ) -> Deferred[InviteReply]:
        """Have the node make a token with which others can join.

        Fails with :class:`NotIssuer` if it issues no certificates, and with :class:`ConfigError`
        if such an invitation cannot be given.

        :param role: ``peer`` for a node; ``read``, ``send`` or ``operate`` for a client.
        :param name: the name that its user gets; by default one with a suffix that the node makes.
        :param prefix: what a made name begins with.
        :param uses: how often it can be used.
        :param lifetime_s: for how long.
        """
        return self._channel.ask(INVITE, (role, name, prefix, uses, lifetime_s), self._timeout_s)

    @refusing
    def give_bundle(self, bundle: bytes) -> Deferred[int]:
        """Put signed roots and revocations in force; fires with the version that then is.

        The node passes them on to all others. Fails with :class:`ChordnetError` if the node does
        not believe them.
        """
        return self._channel.ask(GIVE_BUNDLE, (bundle,), self._timeout_s)

    @refusing
    def issuer_request(self) -> Deferred[bytes]:
        """Return a request (PKCS #10, DER) for another certificate of the node's issuer.

        Fails with :class:`NotIssuer` if it has none.
        """
        return self._channel.ask(ISSUER_KEY, (), self._timeout_s)

    @refusing
    def certify_issuer(self, certificate: bytes) -> Deferred[float]:
        """Give the node's issuer another certificate (DER); fires with the time until it is valid.

        Fails with :class:`NotIssuer` if it has none, and with :class:`ChordnetError` if the
        certificate is not for it.
        """
        return self._channel.ask(CERTIFY_ISSUER, (certificate,), self._timeout_s)
