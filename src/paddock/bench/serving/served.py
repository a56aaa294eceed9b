"""What became of the requests of a measurement, as far as figures of a run do not say it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from paddock.bench.summary import percentile
from paddock.errors import BenchError

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Served:
    """Requests of one measurement, their tokens and the percentiles of their times.

    ``failed`` counts requests by what became of them: an HTTP status, ``timeout``, ``no
    connection``, ``broken stream`` or ``no text``; ``messages`` has what was said to the first of
    each. ``counted`` says who counted the answers' tokens: ``server`` (or its word that an answer
    ended at its limit), or ``pieces`` of text where it did not. ``percentiles`` are of ``ttft``,
    ``tpot``, ``itl`` (every time between two pieces) and ``e2e``, in seconds, with ``max`` beside.
    ``client_cpu`` is the share of one core that the measuring took: near 1, the figures are the
    client's and not the server's.
    """

    requests: int
    answered: int
    failed: dict[str, int]
    messages: dict[str, str]
    wall_s: float
    prompt_tokens: int | None
    new_tokens: int
    counted: str
    percentiles: dict[str, dict[str, float]]
    client_cpu: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Served:
        """Reads ``to_dict``'s form. Raises BenchError if it is another or does not add up."""
        if set(value) != {one.name for one in fields(cls)}:
            raise BenchError(f"what was served has the fields {sorted(value)}")
        found = cls(**value)
        if found.answered + sum(found.failed.values()) != found.requests:
            raise BenchError(
                f"{found.answered} answered and {sum(found.failed.values())} failed requests"
                f" are not {found.requests}"
            )
        return found


def percentiles(samples: list[float]) -> dict[str, float]:
    """``p50`` to ``p99`` and ``max`` of at least one sample."""
    ordered = sorted(samples)
    found = {f"p{share}": percentile(ordered, share / 100) for share in PERCENTILES}
    return found | {"max": ordered[-1]}
