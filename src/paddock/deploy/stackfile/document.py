"""YAML as plain values with the line of each, and nothing that a person did not mean.

PyYAML's own loader drops line numbers, takes the last of two equal keys and turns ``on`` and
``1:30`` into what nobody wrote; this reads its nodes instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.errors import UsageError

SIZE_LIMIT = 256 * 1024
"""Bytes of a stack file: a hundred times what the largest needs."""

DEPTH_LIMIT = 20

Place = tuple[str | int, ...]
"""Where a value is: keys and indexes from the top."""


@dataclass(frozen=True, slots=True)
class Document:
    """Plain JSON values, and the line (from 1) of each place. ``name`` is the file's."""

    values: dict[str, Any]
    lines: dict[Place, int]
    name: str

    def fault(self, place: Place, message: str, *, hint: str | None = None) -> UsageError:
        """An error about a place, which names the file, the line and the key."""
        known = place
        while known not in self.lines and known:
            known = known[:-1]
        where = f"{self.name}:{self.lines[known]}" if known in self.lines else self.name
        key = spelled(place)
        return UsageError(f"{where}: {key}: {message}" if key else f"{where}: {message}", hint=hint)


def spelled(place: Place) -> str:
    """``("hosts", 0, "name")`` as ``hosts[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def read(path: Path) -> Document:
    """The document in a file; see ``parse``. Raises UsageError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: byte {error.start}") from error
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"{path} is larger than {SIZE_LIMIT // 1024} KiB, which no stack file is")
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """The document in a text; an empty one is an empty table.

    Raises UsageError for what is not YAML, a key given twice, an anchor or alias, a tag, more than
    one document and anything that is not a table at the top.
    """
    import yaml

    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_yaml(name, error) from error
    lines: dict[Place, int] = {}
    if not nodes:
        return Document({}, lines, name)
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        raise UsageError(f"{name}:{line}: a second document begins here", hint="remove the '---'")
    values = _value(nodes[0], (), lines, name, set())
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError(f"{name}: this is no table of settings", hint="write it as: name: llama")
    return Document(values, lines, name)


def _not_yaml(name: str, error: Exception) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    hint = "indent with spaces" if "\\t" in reason or "tab" in reason else None
    return UsageError(f"{where}: this is not YAML: {reason}", hint=hint)


def _value(node: Any, place: Place, lines: dict[Place, int], name: str, seen: set[int]) -> Any:
    import yaml

    line = node.start_mark.line + 1
    lines[place] = line
    if id(node) in seen or len(place) > DEPTH_LIMIT:
        what = "an alias (*name)" if id(node) in seen else "a value nested this deep"
        raise UsageError(f"{name}:{line}: {what} has no place here", hint="write it out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, line, child in _pairs(node, name):
            inner = (*place, key)
            if key in found:
                first = lines[inner]
                raise UsageError(
                    f"{name}:{line}: {spelled(inner)} is there twice, first in line {first}"
                )
            found[key] = _value(child, inner, lines, name, seen)
            lines[inner] = line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(n, (*place, i), lines, name, seen) for i, n in enumerate(node.value)]
    return _scalar(node, place, name)


def _pairs(node: Any, name: str) -> Iterator[tuple[str, int, Any]]:
    """Keys, their lines and the nodes of their values."""
    import yaml

    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
            line = key.start_mark.line + 1
            raise UsageError(f"{name}:{line}: a key is one word", hint="write the values out")
        yield key.value, key.start_mark.line + 1, child


def _scalar(node: Any, place: Place, name: str) -> Any:
    """Texts, whole numbers, truth and nothing, as YAML 1.2 and everybody's eyes read them."""
    text: str = node.value
    kind = node.tag.rpartition(":")[2]
    if node.style is not None or kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and text.removeprefix("-").isdecimal():
        # 0123 is octal to YAML 1.1: nobody who writes it means 83.
        return int(text) if text == str(int(text)) else text
    if kind in ("bool", "int", "float", "timestamp"):
        return text  # yes and on, 22:80 (a number to base 60), 7.0, 2024-01-25: what was written
    where = f"{name}:{node.start_mark.line + 1}: {spelled(place)}"
    raise UsageError(f"{where}: the tag {node.tag!r} has no place here", hint="leave it away")
