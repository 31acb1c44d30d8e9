"""The database of the message log: its schema, and what happens when it is damaged.

A damaged database is set aside (:mod:`chordnet.storage.base.database`). An empty one takes its
place, what was written ahead is read into it, and neighbours give back what they keep.
"""

from __future__ import annotations

from collections.abc import Sequence

from chordnet.core.base.errors import LogFailed
from chordnet.storage.base.database import Kind
from chordnet.storage.log.rows import known_from

MIGRATIONS = (
    """
    CREATE TABLE messages (
        position INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        created REAL NOT NULL,
        received_at REAL NOT NULL,
        route BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE ledger (
        origin BLOB NOT NULL,
        incarnation INTEGER NOT NULL,
        watermark INTEGER NOT NULL,
        above BLOB NOT NULL,
        PRIMARY KEY (origin, incarnation)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE messages ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    UPDATE messages
        SET checksum = row_checksum(position, id, created, received_at, route, body);
    ALTER TABLE ledger ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    UPDATE ledger SET checksum = row_checksum(origin, incarnation, watermark, above);
    """,
    "",  # the ledger need not name what the messages tell; an older program would miss that
    "",  # messages may stand in the file written ahead; an older program would not look there
    """
    ALTER TABLE ledger RENAME TO watermarks;
    CREATE TABLE ledger (
        origin BLOB NOT NULL,
        incarnation INTEGER NOT NULL,
        known BLOB NOT NULL,
        lost BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (origin, incarnation)
    ) WITHOUT ROWID;
    INSERT INTO ledger
        SELECT origin, incarnation, known, x'90', row_checksum(origin, incarnation, known, x'90')
        FROM (SELECT origin, incarnation, known_from(watermark, above) AS known FROM watermarks
              WHERE checksum = row_checksum(origin, incarnation, watermark, above));
    DROP TABLE watermarks;
    """,
    """
    CREATE TABLE seals (
        position INTEGER PRIMARY KEY,
        certificate BLOB NOT NULL,
        proof BLOB NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE TABLE certificates (
        certificate BLOB NOT NULL PRIMARY KEY,
        chain BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
)
"""Step n migrates a file of schema version n to version n + 1 (``PRAGMA user_version``)."""


def log_kind(migrations: Sequence[str] = MIGRATIONS) -> Kind:
    """Return what is particular to the databases of message logs."""
    return Kind(
        what="the message log",
        error=LogFailed,
        emptied="the log starts empty: neighbours give back what they keep",
        migrations=migrations,
        functions={"known_from": (2, known_from)},
    )
