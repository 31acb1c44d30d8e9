"""What clients make a node do, line by line in its log.

Whatever operates a node leaves a line when it begins, if it takes time, and one when it has ended.
As fields of the event (``twistd --logger`` can write them as JSON) they are ``audit``, which is
always ``operate``, ``who``, ``address``, ``what`` and ``outcome``. What a client tried that may not
operate the node is one, too; as a stranger can cause it, there is a limit to those.
"""

from __future__ import annotations

import msgspec

from chordnet.core.base.errors import ChordnetError, NotPermitted
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric

_LINE = "audit: {who} at {address}, {what}: {outcome}"
_SHOWN = 200


class Audit:
    """The lines about one client.

    :param who: as it is named.
    :param address: where it is.
    """

    def __init__(self, journal: Journal, who: str, address: str) -> None:
        self._journal = journal
        self._who = who
        self._address = address
        self._under_way: dict[int, str] = {}
        """What was begun, by request."""

    def begins(self, request: msgspec.Struct, doing: str) -> None:
        """Note what a client makes the node do; it may be refused yet."""
        details = {
            name: value
            for name, value in msgspec.structs.asdict(request).items()
            if name not in ("rid", "value")
        }
        told = ", ".join(f"{name}={value!r}"[:_SHOWN] for name, value in details.items())
        rid: int = request.rid  # type: ignore[attr-defined]
        self._under_way[rid] = f"{doing} ({told})" if told else doing

    def goes_on(self, rid: int) -> None:
        """Say that something was begun whose end comes later."""
        what = self._under_way.get(rid)
        if what is not None:
            self._say(what, "begun")

    def ends(self, rid: int, problem: ChordnetError | None = None) -> None:
        """Say how it has ended."""
        what = self._under_way.pop(rid, None)
        if what is not None:
            self._say(what, "done" if problem is None else f"failed: {problem}")

    def refused(self, rid: int, problem: NotPermitted) -> None:
        """Note that a client wanted something that it may not do."""
        self._under_way.pop(rid, None)
        self._journal.limited(
            NetMetric.REQUESTS_NOT_PERMITTED,
            "audit: {who} at {address}: refused: {outcome}",
            audit="operate",
            who=self._who,
            address=self._address,
            outcome=str(problem),
        )

    def _say(self, what: str, outcome: str) -> None:
        self._journal.info(
            _LINE,
            audit="operate",
            who=self._who,
            address=self._address,
            what=what,
            outcome=outcome,
        )
