"""A deployment's steps as one commented shell script that does the same without Paddock."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Sequence

from paddock._version import __version__
from paddock.deploy.provision.context import Context
from paddock.deploy.step import CONTAINER, Step

# Each program goes through a file, so that what it calls cannot read the rest of it from stdin.
_HEAD = r"""
set -eu

list=
case ${1:-} in
  --list) list=yes; shift ;;
  -*) echo "usage: $0 [--list] [STEP...]" >&2; exit 2 ;;
esac
chosen=" $* "

# shellcheck disable=SC2016 # it is another shell that runs this
run_it='
file=$(mktemp)
cat >"$file"
code=0
env LC_ALL=C sh -eu "$file" </dev/null || code=$?
rm -f "$file"
exit "$code"
'

step() { # NAME host|container; its program is on stdin
  if [ -n "$list" ]; then echo "$1 ($2)"; cat >/dev/null; return 0; fi
  case $chosen in
    "  " | *" $1 "*) ;;
    *) cat >/dev/null; return 0 ;;
  esac
  printf '\n== %s\n' "$1"
  if [ "$2" = host ]; then
    sh -c "$run_it" && return 0
  else
    "$engine" exec -i "$container" sh -c "$run_it" && return 0
  fi
  code=$?
  printf '\n%s failed with %s. Mend it, then run this script again: what is done is left alone.\n' \
    "$1" "$code" >&2
  exit "$code"
}
"""


def runbook(context: Context, steps: Sequence[Step]) -> str:
    """The script: POSIX sh, to be run on the host itself, as often as one likes.

    A step whose ``script`` tells what a person has to do (a password, a file that holds secrets)
    fails until that is done. No secret stands in it.
    """
    file = context.file
    lines = ["#!/bin/sh", *_comment(_purpose(context))]
    if context.stack is not None:
        versions = [f"{c.title} {c.version}" for c in context.stack.choices if c.kind == "software"]
        lines += ["#", *_comment([f"Versions ({context.stack.level}): {', '.join(versions)}."])]
    lines.append("#")
    lines += [f"# {number:3} {each.id}: {each.title}" for number, each in enumerate(steps, 1)]
    inside = any(each.on == CONTAINER for each in steps)
    engine = shlex.quote(file.container.engine) if inside else ""
    name = shlex.quote(file.container_name) if inside else ""
    lines += ["", f"engine={engine}", f"container={name}", *_HEAD.splitlines()]
    for number, each in enumerate(steps, 1):
        lines += _section(number, len(steps), each)
    lines += ["", "[ -n \"$list\" ] || printf '\\nall is as it should be\\n'"]
    return "\n".join(lines) + "\n"


def _purpose(context: Context) -> list[str]:
    place = "in a container" if context.place == CONTAINER else "on the host"
    return [
        f"The deployment {context.file.name!r} as plain commands, {place}; written by"
        f" paddock {__version__}: paddock export sh",
        "It was made for the machine that was looked at"
        f" ({context.host.hostname or context.host.target}); run it there:",
        "sh FILE             every step that is not done yet, in order",
        "sh FILE STEP...     only these",
        "sh FILE --list      their names",
    ]


def _section(number: int, count: int, step: Step) -> list[str]:
    program = step.script().rstrip("\n")
    end = f"END_{step.id}"
    assert end not in program.splitlines(), "a step's program does not hold its own end mark"
    where = "inside the container" if step.on == CONTAINER else "on the host"
    return [
        "",
        f"# ---- {number}/{count} {step.id}, {where}",
        *_comment([f"{step.title[:1].upper()}{step.title[1:]}.", f"Why: {step.why}."]),
        f"step {step.id} {'container' if step.on == CONTAINER else 'host'} <<'{end}'",
        program,
        end,
    ]


def _comment(paragraphs: Iterable[str]) -> list[str]:
    """Paragraphs as comments; a line break in a fact must not end one."""
    found: list[str] = []
    for text in paragraphs:
        words = text if text.startswith("sh FILE") else " ".join(text.split())
        found += [f"# {line}".rstrip() for line in textwrap.wrap(words, 96)] or ["#"]
    return found
