"""Reads a MindFormers YAML file into its settings, each with the line it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from paddock.deploy.doctor.subject import Config
from paddock.errors import UsageError
from paddock.shell import Runner

LIMIT = 4 * 2**20
"""Bytes; a configuration has a few thousand."""

_FIRST = ("model.model_config", "context", "parallel_config")
"""The parts whose settings count before those of the same name elsewhere."""


def read_config(path: Path) -> Config:
    """The settings of a file. Only scalars count; nothing in it is executed.

    Raises UsageError for what is not the YAML of a mapping, and OSError where it cannot be read.
    """
    if path.stat().st_size > LIMIT:
        raise UsageError(f"{path} is too large for a configuration")
    return parse_config(path.read_text(encoding="utf-8", errors="replace"), str(path))


def parse_config(text: str, path: str) -> Config:
    """The settings in a text; see ``read_config``."""
    import yaml

    try:
        # Nodes and not values: they know their lines, and "no" stays what the file says.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(f"{path}{place} is not YAML: {said}") from error
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path} is not a MindFormers configuration: it is no mapping")
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    found = list(_scalars(root, "", frozenset()))
    found.sort(key=lambda each: (each[0] not in _FIRST, each[0] != "", each[2]))
    for _, key, line, value in found:
        values.setdefault(key, value)
        lines.setdefault(key, line)
    return Config(path, values, lines)


def _scalars(
    node: object, section: str, above: frozenset[int]
) -> Iterator[tuple[str, str, int, str]]:
    """Section, key, line and value of every scalar; an alias that holds itself ends."""
    import yaml

    if not isinstance(node, yaml.MappingNode) or id(node) in above:
        return
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if isinstance(value, yaml.ScalarNode):
            yield section, key.value, value.start_mark.line + 1, value.value
        else:
            yield from _scalars(value, f"{section}.{key.value}".lstrip("."), above | {id(node)})


def look_for(config: Config, runner: Runner) -> Config:
    """The configuration with the checkpoints that it names by path and nobody finds there."""
    named = [config.values.get(k, "") for k in ("checkpoint_name_or_path", "load_checkpoint")]
    paths = dict.fromkeys(path for path in named if "/" in path or path.endswith(".ckpt"))
    missing = (path for path in paths if runner.run(["test", "-e", path]).exit_code == 1)
    return replace(config, missing=tuple(missing))
