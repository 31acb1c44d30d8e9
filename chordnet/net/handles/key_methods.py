"""What a program asks of keys, the same of its own node and of another through a client."""

from __future__ import annotations

from typing import Any, Literal, overload

from twisted.internet.defer import Deferred

from chordnet.core.base.limits import OPERATION_S
from chordnet.core.base.outcomes import Entry, StaleEntry
from chordnet.net.base.arguments import refusing
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey, Written


class KeyMethods:
    """Reads and writes of keys; the class that inherits them asks a node."""

    def _ask_key(self, asked: KeyRequest) -> Deferred[Any]:
        """Have a node read or write a key."""
        raise NotImplementedError

    @overload
    def get(
        self, key: str, *, stale: Literal[False] = False, timeout_s: float = ...
    ) -> Deferred[Entry | None]: ...

    @overload
    def get(
        self, key: str, *, stale: Literal[True], timeout_s: float = ...
    ) -> Deferred[StaleEntry]: ...

    @refusing
    def get(
        self, key: str, *, stale: bool = False, timeout_s: float = OPERATION_S
    ) -> Deferred[Any]:
        """Read a key; the Deferred fires with its entry, or None if it has no value.

        :param key: a text of 1 to 1,024 bytes of UTF-8.
        :param stale: whatever one of the nodes that hold the key has will do, however old it is: it
            fires with a :class:`StaleEntry`, as long as one of them answers.
        :param timeout_s: seconds that the node may take.

        Fails with :class:`Unavailable` if too few of the nodes that hold the key answer, with
        :class:`NoStore` if the node keeps no store, and with :class:`NotInRing` or
        :class:`InvalidKey`.
        """
        return self._ask_key(GetKey(0, key, timeout_s, stale))

    @refusing
    def put(
        self,
        key: str,
        value: bytes,
        *,
        if_version: int | None = None,
        expires_s: float | None = None,
        request: bytes | None = None,
        since: int | None = None,
        timeout_s: float = OPERATION_S,
    ) -> Deferred[Written]:
        """Write a key; the Deferred fires with the receipt once a majority of its nodes has it.

        :param key: a text of 1 to 1,024 bytes of UTF-8.
        :param value: at most 1,048,576 bytes.
        :param if_version: write only if this is the key's version; 0: only if it has no value.
        :param expires_s: seconds after which it expires; None: never.
        :param request: names this write: it is the one of an :class:`Unconfirmed`, or of your own
            choice. None: a new one.
        :param since: that of the :class:`Unconfirmed`, for a write that is asked for again: it is
            then done, unless it has been.
        :param timeout_s: seconds that the node may take.

        Not done, and never will be: :class:`Conflict` (another version, see ``present``),
        :class:`Unavailable`, :class:`NoStore`, :class:`NotInRing`, :class:`NotPermitted`,
        :class:`InvalidKey`, :class:`InvalidValue`, and what every call may fail with. Not known:
        :class:`Unconfirmed`, also if the answer of the node does not come, and :class:`Untold` when
        it is asked for again after that.
        """
        return self._ask_key(
            PutKey(0, key, value, if_version, expires_s, request, since, timeout_s)
        )

    @refusing
    def delete(
        self,
        key: str,
        *,
        if_version: int | None = None,
        request: bytes | None = None,
        since: int | None = None,
        timeout_s: float = OPERATION_S,
    ) -> Deferred[Written]:
        """Delete a key; the arguments and failures are those of :meth:`put`.

        The receipt has the version that the deletion made: a later write has a higher one.
        """
        return self._ask_key(DeleteKey(0, key, if_version, request, since, timeout_s))
