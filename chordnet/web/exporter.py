"""The metrics of one node for Prometheus.

All names begin with ``chordnet_``; the labels are ``network``, ``node`` and, where a metric has
several numbers, ``kind``. All values of ``kind`` are declared (:mod:`chordnet.net.base.metrics`),
so neither peers nor the size of the network add series.

Operations on keys become one histogram, ``chordnet_key_duration_seconds``. The rest is counted as
declared there, with ``_total`` behind a counter's name, plus a few gauges of the node's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from chordnet.core.base.messages import Status
from chordnet.core.base.metrics import Kind
from chordnet.net.base.metrics import METRICS, WITHIN_S, NetMetric
from chordnet.web.readiness import Readiness
from chordnet.wire.rpc import NodeStatus
from chordnet.wire.stores import StoreState

PREFIX = "chordnet_"
_LABELS = ("network", "node")
_KINDS = (*_LABELS, "kind")
_TIMED = frozenset({NetMetric.KEY_LATENCY, NetMetric.KEY_MICROSECONDS})
"""What becomes the histogram."""
_STATES = (*(each.name.lower() for each in Status), "failed")
_MEASURED = ("get", "put", "delete")


@attrs.frozen
class Look:
    """What a node says of itself at one moment."""

    status: NodeStatus
    store: StoreState
    readiness: Readiness


class NodeCollector(Collector):
    """Makes samples of what a node says of itself.

    :param look: returns that.
    """

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry is not to ask the node before it is scraped."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        look = self._look()
        own = (look.status.network, look.status.node.name)
        counters = look.status.counters
        for metric in METRICS:
            if metric not in _TIMED:
                yield _counted(metric, counters, own)
        yield _durations(counters, own)
        yield from _gauges(look, own)


def _counted(metric: object, counters: Mapping[str, int], own: tuple[str, str]) -> Metric:
    row, series = metric.row, metric.series  # type: ignore[attr-defined]
    make = GaugeMetricFamily if row.kind is Kind.GAUGE else CounterMetricFamily
    family: Metric = make(PREFIX + row.name, _sentence(row.help), labels=_names(bool(row.labels)))
    for values, name in series.items():
        # The one series whose name is that of the metric alone has an empty value.
        kind = ("_".join(filter(None, values)) or "other",) if row.labels else ()
        family.add_metric((*own, *kind), counters.get(name, 0))  # type: ignore[attr-defined]
    return family


def _names(kinds: bool) -> tuple[str, ...]:
    return _KINDS if kinds else _LABELS


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _durations(counters: Mapping[str, int], own: tuple[str, str]) -> Metric:
    family = HistogramMetricFamily(
        PREFIX + "key_duration_seconds",
        "Time that operations on keys of this node's clients and program took.",
        labels=_KINDS,
    )
    latency, total = NetMetric.KEY_LATENCY.series, NetMetric.KEY_MICROSECONDS.series
    for kind in _MEASURED:
        buckets, so_far = list[tuple[str, float]](), 0
        for bound, within in (*((str(s), w) for s, w in WITHIN_S.items()), ("+Inf", "longer")):
            so_far += counters.get(latency[kind, within], 0)
            buckets.append((bound, so_far))
        took = counters.get(total[(kind,)], 0) / 1e6
        family.add_metric((*own, kind), buckets, took)
    return family


def _gauges(look: Look, own: tuple[str, str]) -> Iterable[Metric]:
    status, store = look.status, look.store
    for name, text, number in (
        ("ready", "1 if the node is ready (/ready), 0 if not.", float(look.readiness.ready)),
        ("uptime_seconds", "Seconds since the node started.", status.uptime),
        ("successors", "Nodes that it knows to follow it in the ring.", len(status.successors)),
        ("messages", "Messages that its log keeps.", status.messages),
        ("slots_changing", "Slots whose members the node is changing.", store.changing),
        ("slots_of_node", "Slots that need the node's disk.", store.seats),
    ):
        family = GaugeMetricFamily(PREFIX + name, text, labels=_LABELS)
        family.add_metric(own, number)
        yield family
    states = GaugeMetricFamily(PREFIX + "state", "1 for the node's state.", labels=_KINDS)
    for state in _STATES:
        states.add_metric((*own, state), float(state == status.state))
    yield states
    unavailable = GaugeMetricFamily(
        PREFIX + "slots_known", "Slots of the store that the node knows, by kind.", labels=_KINDS
    )
    serving = sum(slot.serves for slot in store.slots)
    unavailable.add_metric((*own, "serving"), serving)
    unavailable.add_metric((*own, "without_majority"), len(store.slots) - serving)
    yield unavailable
    build = GaugeMetricFamily(PREFIX + "build_info", "1 for the release.", labels=_KINDS)
    build.add_metric((*own, status.version), 1.0)
    yield build


class Exporter:
    """Writes a node's metrics, and those of its process, as Prometheus reads them.

    :param look: returns what the node says of itself.
    """

    def __init__(self, look: Callable[[], Look]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(look))
        ProcessCollector(registry=self._registry)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page, and its content type.

        :param accept: the request's header of that name, or an empty text.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
