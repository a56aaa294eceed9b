"""Programs and libraries from the answer: Pythons, tools, shared libraries, models to be loaded."""

from __future__ import annotations

import re

from paddock.deploy.host.facts import (
    NOT_ASKED,
    ConfigLine,
    Library,
    ModelConfig,
    ModelFile,
    Note,
    Python,
    Tool,
)
from paddock.deploy.host.frames import Answer, Frame

_METADATA = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.]*?)-(?P<version>\d[^-]*)(?:-.*)?\.(?:dist|egg)-info"
)
"""``torch_npu-2.1.0.post3.dist-info``. Source: the specification of recorded distributions."""


def pythons(answer: Answer, notes: list[Note]) -> tuple[Python, ...]:
    """The interpreters, each once; the first one asked is what ``python3`` starts."""
    found: dict[str, Python] = {}
    frames = list(answer.starting("python /"))
    for frame in frames:
        path = frame.name.removeprefix("python ")
        if frame.exit_code != 0:
            last = frame.lines[-1] if frame.lines else "no word"
            notes.append(Note(frame.name, "its version", f"exit code {frame.exit_code}: {last}"))
            continue
        python = _python(frame, path, active=frame is frames[0])
        if python is None:
            notes.append(Note(frame.name, "its version", "it did not run the question"))
        elif python.path not in found:
            # A shim and what it starts are one interpreter.
            found[python.path] = python
    count = answer.get("python count")
    if count and count.text.strip().isdecimal() and int(count.text) > len(frames):
        why = f"only the first {len(frames)} were asked"
        notes.append(Note("pythons", "further interpreters", why))
    if count is None:
        notes.append(Note("pythons", "interpreters", NOT_ASKED))
    return tuple(found.values())


def _python(frame: Frame, path: str, *, active: bool) -> Python | None:
    lines = [line.partition("=") for line in frame.lines]
    table = {key: value for key, _, value in lines}
    if "version" not in table or "executable" not in table:
        return None
    packages: dict[str, str] = {}
    for key, _, value in lines:
        match = _METADATA.fullmatch(value) if key == "dist" else None
        if match:
            # The first folder on the path is the one that Python imports from.
            packages.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    prefix, base = table.get("prefix", ""), table.get("base", "")
    return Python(
        path=table["executable"] or path,
        version=table["version"],
        implementation=table.get("implementation"),
        prefix=prefix,
        base_prefix=base,
        kind=_kind(prefix, base),
        active=active,
        libpython=table.get("libpython"),
        externally_managed="managed" in table,
        folders=tuple(value for key, _, value in lines if key == "folder"),
        packages=dict(sorted(packages.items())),
    )


def _kind(prefix: str, base: str) -> str:
    if prefix != base:
        return "venv"
    if re.search(r"/\.pyenv/versions/|/pyenv/versions/", prefix):
        return "pyenv"
    if re.search(r"/uv/python/", prefix):
        return "uv"
    if re.search(r"/(?:mini|ana)conda|/mini?forge|/mambaforge|/conda|/envs/", prefix):
        return "conda"
    return "system" if prefix in ("/usr", "/") else "other"


def tools(answer: Answer) -> tuple[Tool, ...]:
    """Programs that were found, once each by name and path."""
    frame = answer.get("tools")
    rows = [line.split("\t") for line in frame.text.splitlines()] if frame else []
    found = {
        (row[0], row[1]): Tool(row[0], row[1], row[2].strip() or None)
        for row in rows
        if len(row) == 3
    }
    return tuple(found.values())


def libraries(answer: Answer) -> tuple[Library, ...]:
    """The libraries a stack needs, with what the loader would take for each."""
    loads: dict[str, str | None] = {}
    copies: dict[str, list[str]] = {}
    for line in answer.lines("libraries"):
        kind, _, rest = line.partition("\t")
        name, _, path = rest.partition("\t")
        if kind == "loads":
            loads[name] = path or None
        elif kind == "disk" and path not in copies.setdefault(name, []):
            copies[name].append(path)
    return tuple(Library(name, tuple(copies.get(name, ())), path) for name, path in loads.items())


def config_lines(answer: Answer, name: str) -> tuple[ConfigLine, ...]:
    """The lines of a frame that names the file before each, in the order read."""
    pairs = [line.partition(":") for line in answer.lines(name)]
    return tuple(ConfigLine(path, text.strip()) for path, _, text in pairs if text.strip())


def model_files(answer: Answer) -> tuple[ModelFile, ...]:
    """Checkpoints and tokenizers in the usual folders, with their sizes."""
    rows = [line.partition("\t") for line in answer.lines("model files")]
    found = {path: int(size) for size, _, path in rows if path and size.strip().isdecimal()}
    return tuple(ModelFile(path, size) for path, size in sorted(found.items()))


def model_configs(answer: Answer) -> tuple[ModelConfig, ...]:
    """MindFormers' YAML files with the settings that matter, the first of a key counting.

    Read by line and not as YAML: a file that a program would refuse still tells what it says.
    """
    found: dict[str, dict[str, str]] = {}
    for line in answer.lines("model configs"):
        match = re.fullmatch(r"(.+?\.yaml):\s*([a-z_]+):\s*(.+?)(?:\s+#.*)?", line)
        if match:
            found.setdefault(match[1], {}).setdefault(match[2], match[3].strip("'\""))
    return tuple(ModelConfig(path, values) for path, values in found.items())
