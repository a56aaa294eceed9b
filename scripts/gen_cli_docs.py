"""Writes docs/reference/cli.md from the commands themselves; --check only says if it is stale."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

HEAD = """\
# The command line

<!-- Written by scripts/gen_cli_docs.py from the commands themselves; do not edit. -->

Answers and results go to standard output, everything else to standard error. Exit codes: 0 done,
1 it failed, 2 it was asked for wrongly, 130 stopped by Ctrl-C, 141 the reader of the output went
away. A failure is one line, `error: what (what to do)`; `--debug` shows the trace in front of it.
With `--json` standard output holds one JSON object, on failure
`{"error": {"kind": ..., "message": ..., "hint": ...}}`. `NO_COLOR` is honoured, and nothing is
coloured or drawn into a pipe. `-h` and `--help` explain every command;
`paddock --install-completion` teaches the shell to complete commands, options and model names.
"""


COMPLETION = ("install_completion", "show_completion", "help")
"""Parameters that the parser adds and words in its own way; named in HEAD instead."""


def pages(command: Any, path: str) -> Iterator[str]:
    """The section of a command, then of all below it.

    Made from the parameters and not from the help page, whose layout differs between versions of
    the parser.
    """
    yield f"## {path}\n"
    yield f"{inspect.cleandoc(command.help)}\n"
    children = getattr(command, "commands", {})
    if children:
        lines = [
            f"- `{path} {n}`: {inspect.cleandoc(c.help).splitlines()[0]}"
            for n, c in children.items()
        ]
        yield "\n".join(lines) + "\n"
    yield from tables(command)
    examples = command.epilog.replace("\b", "").strip().partition("\n")[2]
    yield f"```text\n{inspect.cleandoc(examples)}\n```\n"
    for name, child in children.items():
        yield from pages(child, f"{path} {name}")


def tables(command: Any) -> Iterator[str]:
    """The arguments and options, a table for each heading of the help page."""
    sections: dict[str, list[str]] = {}
    for parameter in command.params:
        if parameter.name in COMPLETION:
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None)
        title = "Argument" if is_argument else panel or "Option"
        sections.setdefault(title, []).append(row(parameter, is_argument))
    for title in sorted(sections, key=lambda t: {"Argument": 0, "Option": 1}.get(t, 2)):
        yield "\n".join([f"| {title} | |", "|---|---|", *sections[title]]) + "\n"


def row(parameter: Any, is_argument: bool) -> str:
    """``| `-n`, `--max-new-tokens N` | what it does (default 128) |``."""
    metavar = parameter.metavar or ""
    if is_argument:
        names = f"`{metavar or parameter.name.upper()}`"
    else:
        spelled = [*sorted(parameter.opts, key=len), *parameter.secondary_opts]
        spelled[-1] = f"{spelled[-1]} {metavar}".strip()
        names = ", ".join(f"`{name}`" for name in spelled)
    text = parameter.help
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.show_default and metavar and isinstance(default, (int, float, str)):
        text += f" [default: {default}]"
    return "| {} | {} |".format(
        *(part.replace("|", "\\|") for part in (names, " ".join(text.split())))
    )


def render() -> str:
    """The whole page."""
    from paddock.cli.app import command

    return "\n".join([HEAD, *pages(command(), "paddock")])


def main() -> int:
    """Writes the page, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.name} is stale; run scripts/gen_cli_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
