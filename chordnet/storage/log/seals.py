"""The seals of kept messages, so that they can be given to other nodes as they came.

A seal names the certificate of its origin, and the chains of certificates are in a table of their
own, because all messages of an origin have the same one. Both tables have rows only for sealed
messages. A seal that is damaged is as good as none: the message can be read here, and others have
to give it to nodes that lack it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from chordnet.core.base.messages import Proof
from chordnet.storage.base.ahead import Entry
from chordnet.storage.base.paging import KeptMessage
from chordnet.storage.base.rows import Row, checksum, encode, is_sound

_decode_proof = msgspec.msgpack.Decoder(Proof).decode
_decode_chain = msgspec.msgpack.Decoder(list[bytes]).decode
_replace = msgspec.structs.replace


class Sealed(Entry, frozen=True, gc=False, tag="sealed"):
    """Messages of one commit, some of them sealed, that are written ahead of the database."""

    rows: list[bytes]
    """The values of each message's row without the checksum, in MessagePack."""
    proofs: list[bytes]
    """The seal of each, in MessagePack; nothing for one that has none."""


def proof_of(value: bytes) -> Proof | None:
    """Return an encoded seal; None if there is none.

    :raises msgspec.DecodeError: it is damaged.
    """
    return _decode_proof(value) if value else None


def _bare(proof: Proof) -> Proof:
    """Return a seal without the certificates."""
    return Proof(proof.first, proof.count, proof.signature, proof.certificate, proof.path)


class SealTable:
    """The seals in the database of one log."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._chains: dict[bytes, list[bytes]] = {}
        """Certificate -> the chain that begins with it; of those in the database."""

    def restore(self) -> None:
        """Read the certificates, and drop those that no message needs any more.

        :raises sqlite3.Error: the database cannot be read or written.
        """
        self._db.execute(
            "DELETE FROM certificates WHERE certificate NOT IN (SELECT certificate FROM seals)"
        )
        rows = self._db.execute("SELECT certificate, chain, checksum FROM certificates")
        for row in rows.fetchall():
            if is_sound(row):
                self._chains[row[0]] = _decode_chain(row[1])

    def ahead(self, messages: Iterable[KeptMessage]) -> list[bytes]:
        """Return the seals of messages as they are written ahead; nothing if none has one."""
        proofs = [each.record.proof for each in messages]
        if not any(proofs):
            return []
        known = self._chains
        return [
            b""
            if each is None
            else encode(each if known.get(each.certificate) != each.chain else _bare(each))
            for each in proofs
        ]

    def whole(self, proof: Proof) -> Proof | None:
        """Return a seal with its certificates; None if they are lost."""
        chain = proof.chain or self._chains.get(proof.certificate)
        return _replace(proof, chain=chain) if chain else None

    def put(self, rows: Iterable[Row], proofs: Mapping[int, Proof]) -> None:
        """Add the seals of these messages' rows, within the caller's transaction.

        :param proofs: by position.
        :raises sqlite3.Error: it failed.
        """
        seals: list[Row] = []
        for row in rows:
            proof = proofs.get(row[0])
            if proof is None:
                continue
            if proof.certificate not in self._chains:
                certificate = (proof.certificate, encode(proof.chain))
                self._db.execute(
                    "INSERT OR REPLACE INTO certificates VALUES (?, ?, ?)",
                    (*certificate, checksum(*certificate)),
                )
            seal = (row[0], proof.certificate, encode(_bare(proof)))
            seals.append((*seal, checksum(*seal)))
        self._db.executemany("INSERT OR REPLACE INTO seals VALUES (?, ?, ?, ?)", seals)

    def stored(self, proofs: Mapping[int, Proof]) -> None:
        """Note that the transaction has been committed."""
        for proof in proofs.values():
            self._chains.setdefault(proof.certificate, proof.chain)

    def drop(self, positions: Iterable[int]) -> None:
        """Drop the seals of messages, within the caller's transaction.

        :raises sqlite3.Error: it failed.
        """
        places = [(position,) for position in positions]
        self._db.executemany("DELETE FROM seals WHERE position = ?", places)

    def find(self, position: int) -> Proof | None:
        """Return the seal of a message; None if it has none, or it is damaged.

        :raises sqlite3.Error: it cannot be read.
        """
        row = self._db.execute(
            "SELECT position, certificate, proof, checksum FROM seals WHERE position = ?",
            (position,),
        ).fetchone()
        if row is None or not is_sound(row):
            return None
        return self.whole(_decode_proof(row[2]))
