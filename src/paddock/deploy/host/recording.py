"""Machines that were recorded: a folder of what one printed, answered again by the same code.

``recording.toml`` says what is in the folder:

    source = "where the outputs come from"

    [[answers]]
    ask = "npu-smi info"           # a command line, or "file /etc/hccn.conf"
    file = "npu-smi.txt"           # what it printed
    exit_code = 0                  # if it was another one

    [[answers]]
    transcript = "paste.txt"       # many commands: "# command", "$ command" or "## /path" lines

    [[answers]]
    answer = "answer.txt"          # all of it, as scripts/record-host writes it
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paddock.deploy.host import frames
from paddock.deploy.host.frames import Frame
from paddock.errors import FactsError
from paddock.shell import Output, RecordedRunner

MANIFEST = "recording.toml"
KEYS = frozenset({"ask", "file", "exit_code", "transcript", "answer", "modified"})

_COMMAND = re.compile(r"(?:[#$] )?(?:/\S+/)?((?:npu-smi|hccn_tool|nvidia-smi|lspci)(?:\s.*)?)")
_PATH = re.compile(r"## (/\S+)")


def load(folder: Path) -> RecordedRunner:
    """The machine recorded in a folder. Raises FactsError for a folder that is none, naming why."""
    document = frames.compose(frames_of(folder))
    output = Output(0, document.decode(errors="replace"), raw=document)
    argvs = [("sh", "-s", "--", depth) for depth in ("quick", "thorough")]
    return RecordedRunner(dict.fromkeys(argvs, output), target=f"recording:{folder.name}")


def frames_of(folder: Path) -> list[Frame]:
    """What was recorded, part by part; raises as ``load`` does."""
    try:
        manifest = _toml((folder / MANIFEST).read_text(encoding="utf-8"))
        entries = manifest["answers"]
        return [frame for entry in entries for frame in _entry(entry, folder)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FactsError(
            f"{folder} is not a recording of a host: {reason}",
            hint=f"it needs {MANIFEST}; make one with scripts/record-host",
        ) from error


def _entry(entry: dict[str, Any], folder: Path) -> Iterator[Frame]:
    if unknown := sorted(entry.keys() - KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(KEYS))}")
    if "answer" in entry:
        ends = {f"end {group}" for group in frames.GROUPS} | {frames.FIRST}
        recorded = frames.parse((folder / entry["answer"]).read_bytes())
        yield from (frame for frame in recorded.frames if frame.name not in ends)
    elif "transcript" in entry:
        yield from transcript((folder / entry["transcript"]).read_text(encoding="utf-8"))
    else:
        text = (folder / entry["file"]).read_text(encoding="utf-8")
        yield Frame(entry["ask"], text, entry.get("exit_code", 0), entry.get("modified"))


def transcript(text: str) -> Iterator[Frame]:
    """The commands and files in pasted text; what stands before the first is passed over."""
    name: str | None = None
    body: list[str] = []
    for line in [*text.splitlines(), "## /"]:
        command, path = _COMMAND.fullmatch(line.strip()), _PATH.fullmatch(line.strip())
        if command is None and path is None and line != "## /":
            body.append(line)
            continue
        if name is not None:
            yield Frame(name, "\n".join(body).strip("\n"))
        name = f"file {path[1]}" if path else command[1].strip() if command else None
        body = []


def _toml(text: str) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: dict[str, Any] = toml.loads(text)
    return table
