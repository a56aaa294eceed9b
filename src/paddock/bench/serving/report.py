"""A server's result as tables: conditions, percentiles of the times, throughput, failures."""

from __future__ import annotations

from paddock.bench.result import Result, Run
from paddock.bench.serving.served import PERCENTILES, Served
from paddock.bench.table import Table, amount, scale

TITLES = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "itl": "between pieces of text",
    "e2e": "whole answer",
}
_RATES = {"requests": "answers", "output": "output tokens", "total": "prompt and output tokens"}


def tables(result: Result) -> list[Table]:
    """What a person wants to see of a measured server."""
    found = []
    for run in result.runs:
        if run.served is None:
            continue
        found += [_conditions(result, run), _times(run.served), _rates(run)]
        if run.served.failed:
            rows = [
                (state, str(count), run.served.messages.get(state, ""))
                for state, count in run.served.failed.items()
            ]
            found.append(
                Table("not answered", ("WHY", "REQUESTS", "WHAT WAS SAID"), tuple(rows), (1,))
            )
    return found


def load_of(run: Run) -> str:
    """How requests came, in words."""
    options = run.options
    if options["rate"] is not None:
        return f"{options['rate']:g} requests/s, arriving by chance"
    return f"{options['concurrency']} clients, one request after the other each"


def _conditions(result: Result, run: Run) -> Table:
    options, work, served = run.options, run.workload or {}, run.served
    assert served is not None
    prompts = f"{work['prompt_tokens']} {options['prompts']}"
    if served.prompt_tokens is not None:
        prompts += f" ({served.prompt_tokens / served.answered:.4g} tokens by the server's count)"
    made = served.new_tokens / served.answered
    rows = [
        ("server", options["url"] + options["path"]),
        ("model", run.runtime),
        ("load", load_of(run)),
        ("requests", f"{served.requests}, seed {work['seed']}, after {options['warm_up']} apart"),
        ("prompts", prompts),
        ("answers", f"{work['new_tokens']} tokens asked, {made:.4g} made"),
        ("counted by", "the server" if served.counted == "server" else "pieces of text"),
        ("took", amount(served.wall_s, "s")),
        ("client's share of a core", f"{served.client_cpu:.0%}"),
        ("client", f"{result.host.get('cpu')}, {result.host.get('cores')} cores"),
        ("commit", result.commit or "not in a checkout"),
        ("at", result.created),
    ]
    return Table("conditions", ("WHAT", "VALUE"), tuple(rows))


def _times(served: Served) -> Table:
    columns = (*(f"p{share}" for share in PERCENTILES), "max")
    rows = []
    for name, title in TITLES.items():
        if name in served.percentiles:
            values = served.percentiles[name]
            size, unit = scale(values["p50"], "s")
            rows.append((title, unit, *(f"{values[column] / size:.4g}" for column in columns)))
    header = ("TIME", "UNIT", *(column.upper() for column in columns))
    return Table("times", header, tuple(rows), tuple(range(2, len(header))))


def _rates(run: Run) -> Table:
    rows = [
        (title, run.figures[name].unit, f"{run.figures[name].values.median:.4g}")
        for name, title in _RATES.items()
        if name in run.figures
    ]
    return Table("throughput", ("OF", "UNIT", "VALUE"), tuple(rows), (2,))
