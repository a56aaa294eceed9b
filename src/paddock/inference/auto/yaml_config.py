"""Reads MindFormers' YAML files as they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import ModelNotFound, UsageError
from paddock.inference.auto.mapping import AttributeDict


class MindFormerConfig(AttributeDict):
    """The contents of YAML files and keywords, nested, by attribute or by item.

    ``MindFormerConfig("a.yaml", seed=1)``: later files and then keywords replace earlier top-level
    keys. ``base_config`` in a file names files (relative to it) whose contents it refines. A
    missing attribute is None, a missing item a KeyError.
    """

    def __init__(self, *files: str | Path | Mapping[str, Any], **values: Any) -> None:
        super().__init__()
        for file in files:
            self.update(file if isinstance(file, Mapping) else read_yaml(Path(file)))
        self.update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _nested(value))

    def update(self, *others: Any, **values: Any) -> None:
        """As ``dict.update``; dictionaries within become configurations too."""
        for key, value in dict(*others, **values).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        if key not in self:
            self[key] = default
        return self[key]

    def merge_from_dict(self, options: Mapping[str, Any]) -> None:
        """Merges values whose keys are dotted paths, as ``{"model.arch.type": "X"}``."""
        for path, value in options.items():
            nested: Any = value
            for key in reversed(path.split(".")):
                nested = {key: nested}
            self.update(_merged(self, nested))

    def __deepcopy__(self, memo: dict[int, Any]) -> MindFormerConfig:
        return MindFormerConfig({key: copy.deepcopy(value, memo) for key, value in self.items()})


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's top-level mapping with its ``base_config`` files merged in.

    Raises ModelNotFound if there is no such file, UsageError if it is not such YAML.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    import yaml

    if path.resolve() in above:
        raise UsageError(f"{path} is its own base_config", hint="break the circle")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ModelNotFound(
            f"there is no configuration file {path}", hint="name an existing .yaml file"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path} is not readable YAML: {cause}") from cause
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds {type(content).__name__} at its top, not keys and values")
    bases = content.pop("base_config", None) or []
    below: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        below.update(_read(path.parent / str(base), (*above, path.resolve())))
    return _merged(below, content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, key by key at every depth."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            value = _merged(old, value)
        result[key] = value
    return result


def _nested(value: Any) -> Any:
    if isinstance(value, AttributeDict) or not isinstance(value, dict):
        return value
    return MindFormerConfig(value)
