"""``Report``: what was asked of a target and what came of it, as JSON and as a page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Literal

from paddock.deploy import typed
from paddock.errors import UsageError

Status = Literal["passed", "failed", "skipped", "unverified"]
"""``skipped``: it does not apply here. ``unverified``: it was not seen on the hardware it is about,
because that is not here or is simulated."""

WORDS = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "unverified": "not verified on hardware",
}
"""The statuses for a person."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was asked. ``detail`` says what was seen, or why it was not asked.

    ``value`` is the measured number where there is one (tokens a second). ``hint`` says what to do
    about a failure.
    """

    name: str
    title: str
    status: Status
    detail: str
    value: float | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one target. ``when`` is the target's clock, ISO 8601."""

    target: str
    deployment: str
    when: str
    stack: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "failed" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values, with ``ok``."""
        import msgspec

        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"ok": self.ok, **built}

    def to_json(self) -> str:
        """The report as indented JSON; ``from_json`` gives it back equal."""
        import msgspec

        return msgspec.json.format(msgspec.json.encode(self.to_dict()), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """The report that ``to_json`` wrote. Raises UsageError for anything else."""
        import msgspec

        try:
            return typed.decode(text, cls)
        except msgspec.MsgspecError as error:
            raise UsageError(f"this is not a report of paddock verify: {error}") from error

    def to_html(self) -> str:
        """The report as one page that needs nothing else, neither network nor scripts."""
        rows = "\n".join(_row(check) for check in self.checks)
        versions = "\n".join(
            f"<tr><th scope=row>{html.escape(name)}</th><td>{html.escape(version)}</td></tr>"
            for name, version in self.stack
        )
        count = dict.fromkeys(WORDS, 0)
        for check in self.checks:
            count[check.status] += 1
        summary = ", ".join(f"{n} {WORDS[status]}" for status, n in count.items() if n)
        title = f"{self.deployment} on {self.target}"
        table = f"<h2>Versions</h2>\n<table>\n{versions}\n</table>" if versions else ""
        return _PAGE.format(
            title=html.escape(title),
            verdict="Everything that could be checked is well" if self.ok else "Something failed",
            summary=html.escape(summary),
            when=html.escape(self.when),
            rows=rows,
            versions=table,
        )


def _row(check: Check) -> str:
    hint = f"<p class=hint>{html.escape(check.hint)}</p>" if check.hint else ""
    return (
        f"<tr class={check.status}><th scope=row>{html.escape(check.title)}</th>"
        f"<td class=status>{WORDS[check.status]}</td>"
        f"<td>{html.escape(check.detail)}{hint}</td></tr>"
    )


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  padding: .5rem; text-align: left; vertical-align: top; }}
td {{ overflow-wrap: anywhere; }}
.status {{ white-space: nowrap; font-weight: 600; }}
.failed .status::before {{ content: "\\2717  "; }}
.passed .status::before {{ content: "\\2713  "; }}
.hint {{ margin: .25rem 0 0; font-style: italic; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p><strong>{verdict}</strong>: {summary}. {when}</p>
<table>
<thead>
<tr><th scope="col">What</th><th scope="col">Result</th><th scope="col">Seen</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
{versions}
</main>
</body>
</html>
"""
