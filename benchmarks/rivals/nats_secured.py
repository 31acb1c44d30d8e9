"""NATS over TLS, where both sides show a certificate of one authority, as in a secured network."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.rivals.nats import Nats
from benchmarks.rivals.nats_confirmed import JetStream


def write_files(directory: Path) -> None:
    """Write a key, a certificate and the root that has signed it, Ed25519 as in chordnet."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    begin = datetime.datetime.fromtimestamp(time.time() - 3600, datetime.UTC)
    end = begin + datetime.timedelta(days=1)

    def signed(name: str, issuer: str, of: Ed25519PrivateKey, by: Ed25519PrivateKey) -> bytes:
        subject, signer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)])
            for each in (name, issuer)
        )
        builder = (
            x509.CertificateBuilder(signer, subject, of.public_key(), 1 + (name != issuer))
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(name == issuer, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False
            )
        )
        return builder.sign(by, None).public_bytes(serialization.Encoding.PEM)

    root, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for name, data in (
        ("root.pem", signed("root", "root", root, root)),
        ("certificate.pem", signed("bench", "root", key, root)),
        ("key.pem", secret),
    ):
        (directory / name).write_bytes(data)


class _Secured(Nats):
    """A server that lets in only whose certificate it believes, over TLS."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._files = tempfile.mkdtemp(prefix="chordnet-bench-")

    def start(self) -> None:
        """Write the files, and start the server and its programs."""
        write_files(Path(self._files))
        self.more = (self._files,)
        super().start()

    def stop(self) -> None:
        """End them all, and remove the files."""
        super().stop()
        shutil.rmtree(self._files, ignore_errors=True)

    def command(self, directory: str) -> list[str]:
        """Return the words that start the server."""
        words = super().command(directory)
        with Path(directory, "nats.conf").open("a") as settings:
            paths = {
                key: Path(self._files, name)
                for key, name in (
                    ("cert_file", "certificate.pem"),
                    ("key_file", "key.pem"),
                    ("ca_file", "root.pem"),
                )
            }
            lines = "".join(f'  {key}: "{path}"\n' for key, path in paths.items())
            settings.write(f"tls {{\n{lines}  verify: true\n}}\n")
        return words


class NatsSecured(_Secured, Nats):
    """NATS over TLS, one at a time and with many in flight."""

    name = "NATS, TLS"

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure the time until all have a message; nobody tells the sender."""
        return {"p50": self.paced(effort)["p50"]}


class JetStreamSecured(_Secured, JetStream):
    """JetStream over TLS, acknowledged, one at a time and with many in flight."""

    name = "JetStream, acknowledged, TLS"

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure both."""
        found = super().measure(effort)
        for window, count in ((64, effort.flood), (256, effort.burst)):
            (sent, known), _arrivals = self._round(count, 0.0, window)
            found[f"rate {window}"] = count / (max(known) - sent[0])
        return found
