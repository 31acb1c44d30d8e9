"""What a node writes to its log, and what it counts.

State changes, ring changes, deaths and refusals are logged by default, single messages only with
``debug``. Lines that a stranger can cause are limited: a short burst of each kind, then one
every few seconds that says how many were left out. An event is one line, whatever it names:
characters that do not print become question marks.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from chordnet.core.base.metrics import Counters
from chordnet.net.base.metrics import NetMetric

BURST = 5
"""Lines of one kind that may be written in a burst."""
LONGEST_FIELD = 300
"""Letters of a value that a stranger has caused."""
LONGEST_LINE = 4000
"""Letters of any value that is logged."""
REFILL_S = 10.0
"""Seconds until one more line of that kind may be written."""


class Journal:
    """The log and the counters of one node.

    :param clock: returns seconds; paces what is limited.
    :param source: named in every line, so that several nodes of one process can be told apart.
    :param debug: also log single messages.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        source: str = "",
        *,
        debug: bool = False,
        logger: Logger | None = None,
    ) -> None:
        self._clock = clock
        self._log = logger or Logger(namespace="chordnet.node")
        self._allowance: dict[tuple[NetMetric, tuple[str, ...]], _Allowance] = {}
        self.source = source
        self.debug_enabled = debug
        self.counters: Counters[NetMetric] = Counters()

    def info(self, text: str, **fields: object) -> None:
        """Log what an operator wants to know; ``text`` names ``fields`` in braces."""
        self._log.info("{node}: " + text, **self._tamed(fields))

    def warn(self, text: str, **fields: object) -> None:
        """Log what an operator may have to do something about."""
        self._log.warn("{node}: " + text, **self._tamed(fields))

    def error(self, text: str, **fields: object) -> None:
        """Log what an operator has to act on."""
        self._log.error("{node}: " + text, **self._tamed(fields))

    def debug(self, text: str, **fields: object) -> None:
        """Log a detail, if ``debug`` is on."""
        if self.debug_enabled:
            self._log.debug("{node}: " + text, **self._tamed(fields))

    def failure(self, metric: NetMetric, text: str, failure: Failure | None = None) -> None:
        """Log an unexpected exception with its traceback and count it."""
        self.counters.add(metric)
        node, what = _tame(self.source), _tame(text)
        self._log.failure("{node}: {what}", failure, node=node, what=what)

    def limited(
        self, metric: NetMetric, text: str, *, labels: tuple[str, ...] = (), **fields: object
    ) -> None:
        """Count an occurrence of what a stranger can cause; log it unless too many were logged.

        :param labels: the values of the metric's labels, each of which has a limit of its own.
        """
        self.counters.add(metric, *labels)
        kind = (metric, labels)
        allowance = self._allowance.get(kind)
        if allowance is None:
            allowance = self._allowance[kind] = _Allowance(self._clock())
        if not allowance.take(self._clock()):
            return
        if allowance.left_out:
            text += " ({left_out} more of these were not logged)"
            fields["left_out"] = allowance.left_out
            allowance.left_out = 0
        tame = {name: _tame(value, LONGEST_FIELD) for name, value in fields.items()}
        self.warn(text, **tame)

    def _tamed(self, fields: dict[str, object]) -> dict[str, object]:
        return {name: _tame(value) for name, value in {**fields, "node": self.source}.items()}


def _tame(value: object, limit: int = LONGEST_LINE) -> object:
    """Return a value, some of which a stranger may have chosen, as one short printable line."""
    if isinstance(value, int | float):
        return value
    text = str(value)[:limit]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class _Allowance:
    """A token bucket."""

    __slots__ = ("_at", "_tokens", "left_out")

    def __init__(self, now: float) -> None:
        self._tokens = float(BURST)
        self._at = now
        self.left_out = 0

    def take(self, now: float) -> bool:
        self._tokens = min(float(BURST), self._tokens + max(0.0, now - self._at) / REFILL_S)
        self._at = now
        if self._tokens < 1:
            self.left_out += 1
            return False
        self._tokens -= 1
        return True
