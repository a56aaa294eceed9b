"""What the server measures, for Prometheus; names after vLLM's where they mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "paddock:"
"""Where vLLM says ``vllm:``: a dashboard made for it needs this one replacement."""

TTFT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
TPOT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384)

GAUGES = {
    "num_requests_running": ("running", "Answers that are part of the engine's steps."),
    "num_requests_waiting": ("waiting", "Answers that wait for their first step."),
    "kv_cache_pages": ("pages_total", "Pages of the key/value cache."),
    "kv_cache_pages_used": ("pages_used", "Pages that running answers refer to."),
    "kv_cache_pages_cached": ("pages_cached", "Pages kept for prompts that begin alike."),
}
COUNTERS = {
    "num_preemptions": ("preemptions", "Answers sent back to wait because pages ran out."),
    "prefix_cache_queries": ("prompt_tokens", "Prompt tokens looked for in the cache."),
    "prefix_cache_hits": ("cached_tokens", "Prompt tokens found there."),
    "engine_steps": ("steps", "Steps of the engine."),
    "spec_decode_num_draft_tokens": ("drafted", "Guesses that speculation made."),
    "spec_decode_num_accepted_tokens": ("accepted", "Guesses that were right."),
    "request_cancelled": ("cancelled", "Answers cancelled because the client went away."),
}
"""From the engine's statistics (engine/stats.py)."""


class Metrics:
    """One server's numbers; ``text`` renders them."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self.engine: Mapping[str, Any] = {}
        self._model = model
        self._before: dict[str, float] = {}
        self.ttft = self._histogram(
            "time_to_first_token_seconds", "Request to the engine's first token.", TTFT_BUCKETS
        )
        self.tpot = self._histogram(
            "time_per_output_token_seconds",
            "Time per token from the engine's first one to its last.",
            TPOT_BUCKETS,
        )
        self.latency = self._histogram(
            "e2e_request_latency_seconds", "Request to last token.", LATENCY_BUCKETS
        )
        self.prompt_size = self._histogram(
            "request_prompt_tokens", "Prompt tokens of a request.", TOKEN_BUCKETS
        )
        self.answer_size = self._histogram(
            "request_generation_tokens", "Tokens of an answer.", TOKEN_BUCKETS
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of all requests.")
        self.new_tokens = self._counter("generation_tokens", "Tokens of all answers.")
        self.success = self._counter("request_success", "Answers.", "finished_reason")
        self.responses = self._counter("http_responses", "HTTP responses.", "status")
        self.worker_restarts = self._counter("worker_restarts", "Deaths of the worker.")
        self.rank_losses = self._counter("rank_losses", "Losses of a group of ranks.")
        self.registry.register(_Engine(self))

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def hear(self, stats: Mapping[str, Any]) -> None:
        """Takes the engine's newest statistics."""
        self.engine = stats

    def restarted(self) -> None:
        """The worker died: what its engine counted is kept, what it held is gone."""
        self.worker_restarts.labels(self._model).inc()
        for field, _ in COUNTERS.values():
            self._before[field] = self.total(field)
        self.engine = {}

    def total(self, field: str) -> float:
        """A statistic of all workers so far."""
        return self._before.get(field, 0) + float(self.engine.get(field, 0))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Any:
        return Histogram(
            PREFIX + name, text, ["model_name"], buckets=buckets, registry=self.registry
        ).labels(self._model)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, ["model_name", *labels], registry=self.registry)

    @property
    def model(self) -> str:
        """The label that every metric carries."""
        return self._model


class _Engine(Collector):
    """The engine's numbers, taken from its last report when somebody asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics, label = self._metrics, [self._metrics.model]
        for name, (field, text) in GAUGES.items():
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=["model_name"])
            gauge.add_metric(label, float(metrics.engine.get(field, 0)))
            yield gauge
        usage = GaugeMetricFamily(
            PREFIX + "kv_cache_usage_perc", "Pages used, 0 to 1.", labels=["model_name"]
        )
        pages = metrics.engine.get("pages_total", 0)
        usage.add_metric(label, metrics.engine["pages_used"] / pages if pages else 0.0)
        yield usage
        for name, (field, text) in COUNTERS.items():
            counter = CounterMetricFamily(PREFIX + name, text, labels=["model_name"])
            counter.add_metric(label, metrics.total(field))
            yield counter


def documented() -> list[tuple[str, str, str]]:
    """(name, type, what it says) of every metric, for the reference page."""
    rows = []
    for metric in Metrics("model").registry.collect():
        suffix = "_total" if metric.type == "counter" else ""
        rows.append((metric.name + suffix, metric.type, metric.documentation))
    return sorted(rows)
