"""Writes a running node's recording to a file: ``ChordService(..., core=Recorder("node.rec"))``.

Every step is written with one call of the system before its effects are performed, so the
recording of a process that was killed lacks nothing that had an effect. The file is bounded. When
it cannot be written any more the recording ends, and the node goes on.
"""

from __future__ import annotations

import io
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from chordnet import __version__
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import NodeRef
from chordnet.core.seals.notary import Notary
from chordnet.record.recording import (
    FORMAT,
    End,
    Header,
    RecordedNode,
    Sealing,
    config_fields,
    pack,
)
from chordnet.storage.base.private import narrow, private

RECORD_BYTES = 256 * 1024 * 1024
"""How long a recording may get by default."""
END_BYTES = 256
"""Kept free for the last line."""


class Recorder:
    """Makes cores that are recorded; a service's ``core``.

    An earlier recording in the file is kept under its name with ``.1`` behind it.

    :param path: the file to write.
    :param max_bytes: at this length the recording ends, and says so.
    :param seconds: the clock that the service is given.
    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_bytes: int = RECORD_BYTES,
        *,
        seconds: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        logger: Logger | None = None,
    ) -> None:
        self.path = Path(path)
        self.steps = 0
        """Events recorded in this life."""
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._wall = wall
        self._log = logger or Logger(namespace="chordnet.node")
        self._name = ""
        self._file: io.FileIO | None = None
        self._left: int
        """Bytes that may still be written before the end."""

    def __call__(
        self,
        config: ProtocolConfig,
        me: NodeRef,
        rng: random.Random,
        notary: Notary | None = None,
    ) -> RecordedNode:
        """Return a core whose recording begins now, with its own randomness from a new seed.

        :raises ConfigError: the file cannot be written.
        """
        self.close()
        seed = rng.getrandbits(63)
        self._name = me.name
        self._begin(
            Header(
                FORMAT,
                __version__,
                platform.python_version(),
                me,
                seed,
                config_fields(config),
                self._wall(),
                self._seconds(),
                names=True,
            )
        )
        if notary is not None:
            frame = pack(Sealing(notary.network, notary.always))
            self._left -= len(frame)
            self._write(frame)
        return RecordedNode(config, me, seed, self._write_step, notary)

    def check(self) -> None:
        """Check that the file can be written, without changing it.

        :raises ConfigError: it cannot be.
        """
        try:
            io.FileIO(self.path, "ab", opener=private).close()
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(f"cannot record to {self.path}: {error.strerror or error}")

    def _begin(self, header: Header) -> None:
        try:
            if self.path.exists() and self.path.stat().st_size:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = io.FileIO(self.path, "wb", opener=private)
            narrow([self.path])
            frame = pack(header)
            self._file.write(frame)
        except OSError as error:
            self._drop()
            raise self._unusable(error) from None
        self._left = self._max_bytes - len(frame) - END_BYTES
        self.steps = 0

    def _write_step(self, frame: bytes) -> None:
        if self._file is None:
            return
        if len(frame) > self._left:
            self._finish(f"the limit of {self._max_bytes} bytes was reached")
            self._log.warn(
                "{node}: stopped recording: {path} has reached its limit of {limit} bytes",
                node=self._name,
                path=str(self.path),
                limit=self._max_bytes,
            )
            return
        self._left -= len(frame)
        self.steps += 1
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        assert self._file is not None
        try:
            written = self._file.write(frame)
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            if written == len(frame):
                return
            reason = "there is no room left"
        self._drop()
        self._log.warn(
            "{node}: stopped recording: {path} cannot be written: {reason}",
            node=self._name,
            path=str(self.path),
            reason=reason,
        )

    def close(self) -> None:
        """End the recording. Without this call it ends like that of a killed node."""
        if self._file is not None:
            self._finish("the node was stopped")

    def _finish(self, reason: str) -> None:
        self._write(pack(End(self.steps, reason)))
        self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
