"""Writes docs/reference/metrics.md from the metrics themselves; --check says if it is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "metrics.md"

HEAD = """\
# Metrics

<!-- Written by scripts/gen_metrics_docs.py from the metrics themselves; do not edit. -->

What `GET /metrics` of `paddock serve` gives, in Prometheus' text format. Every sample has the label
`model_name`. Where a name means the same as one of vLLM's, it is that name with `paddock:` in front
instead of `vllm:`. Times are in seconds.

| Metric | Type | |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    from paddock.inference.serve.metrics import documented

    return HEAD + "".join(f"| `{name}` | {kind} | {text} |\n" for name, kind, text in documented())


def main() -> int:
    """Writes or compares; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        TARGET.write_text(page(), encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") != page():
        print(f"{TARGET} is stale: run scripts/gen_metrics_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
