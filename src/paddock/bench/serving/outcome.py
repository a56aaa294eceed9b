"""Replies of a server to the run of a result: figures, percentiles, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from paddock.bench.result import Figure, Run
from paddock.bench.serving.client import Reply, Target
from paddock.bench.serving.load import Load
from paddock.bench.serving.served import Served, percentiles
from paddock.bench.summary import Summary
from paddock.errors import BenchError


def run_of(
    target: Target,
    load: Load,
    replies: Sequence[Reply],
    warm_up: Sequence[Reply],
    wall_s: float,
    client_cpu: float,
) -> Run:
    """The run that ``replies`` make. Raises BenchError if none of them is an answer."""
    good = [reply for reply in replies if reply.state == "ok"]
    served = _served(replies, good, wall_s, client_cpu)
    first = {"ttft": warm_up[0].first_s, "e2e": warm_up[0].end_s} if warm_up else {}
    return Run(
        target.model or "",
        options={
            "url": target.url,
            "path": target.path,
            "ignore_eos": target.ignore_eos,
            "timeout": target.timeout,
            "concurrency": load.concurrency,
            "rate": load.rate,
            "warm_up": load.warm_up,
            "prompts": f"ids of {load.ids_of}" if load.ids_of else "words",
        },
        workload=load.workload().to_dict(),
        warm_up=first,
        figures=_figures(good, served),
        served=served,
    )


def _served(
    replies: Sequence[Reply], good: Sequence[Reply], wall_s: float, client_cpu: float
) -> Served:
    bad = [reply for reply in replies if reply.state != "ok"]
    messages = {reply.state: reply.message for reply in reversed(bad)}
    if not good:
        told = ", ".join(f"{state}: {said}" for state, said in messages.items())
        raise BenchError(f"none of {len(replies)} requests was answered: {told}")
    told_prompts = [reply.prompt_tokens for reply in good if reply.prompt_tokens is not None]
    counted = all(reply.counted_tokens is not None for reply in good)
    times = _times(good) | {"itl": [gap for reply in good for gap in reply.gaps]}
    return Served(
        requests=len(replies),
        answered=len(good),
        failed=dict(sorted(Counter(reply.state for reply in bad).items())),
        messages=messages,
        wall_s=wall_s,
        prompt_tokens=sum(told_prompts) if len(told_prompts) == len(good) else None,
        new_tokens=sum(reply.new_tokens for reply in good),
        counted="server" if counted else "pieces",
        percentiles={name: percentiles(each) for name, each in times.items() if each},
        client_cpu=client_cpu,
    )


def _figures(good: Sequence[Reply], served: Served) -> dict[str, Figure]:
    stalls = [max(reply.gaps) for reply in good if reply.gaps]
    seconds = _times(good) | {"stall": stalls}
    found = {name: Figure("s", Summary.of(each)) for name, each in seconds.items() if each}
    rates = {
        "requests": ("requests/s", served.answered),
        "output": ("tokens/s", served.new_tokens),
    }
    if served.prompt_tokens is not None:
        rates["total"] = ("tokens/s", served.prompt_tokens + served.new_tokens)
    for name, (unit, count) in rates.items():
        found[name] = Figure(unit, Summary.of([count / served.wall_s]))
    return found


def _times(good: Sequence[Reply]) -> dict[str, list[float]]:
    return {
        "ttft": [reply.first_s for reply in good],
        "tpot": [each for reply in good if (each := reply.per_token_s) is not None],
        "e2e": [reply.end_s for reply in good],
    }
