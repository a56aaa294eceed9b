"""Writes stackfile.md and paddock.schema.json (docs/reference); --check says if they are stale."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paddock.deploy.stackfile import presets, schema
from paddock.deploy.stackfile.keys import SECTIONS, meanings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
TARGET = FOLDER / "stackfile.md"
SCHEMA = FOLDER / "paddock.schema.json"

HEAD = """\
# The stack file

<!-- Written by scripts/gen_stackfile_docs.py from the dataclasses and keys.toml; do not edit. -->

`paddock.yaml` says what a deployment is to be. `paddock init` writes one that fits the machine;
without one, `paddock up` takes the defaults: this machine, no container, the built-in model on
loopback. A key that is not known is an error which names the nearest one and its line, and so is a
value that cannot be or contradicts another. For editors there is a JSON schema,
[paddock.schema.json](paddock.schema.json) (`paddock init --schema`): put

```yaml
# yaml-language-server: $schema=paddock.schema.json
```

on the first line, with the schema beside the file.

An address alone is a host of that name: `hosts: [ssh://root@npu1, ssh://root@npu2]`. Values of a
preset lie below those of the file, and those of a host's `override` above them.
"""


def page() -> str:
    """The whole reference."""
    return "\n".join((HEAD, *_sections(), *_presets()))


def _sections() -> Iterator[str]:
    for section, kind in SECTIONS.items():
        yield f"## {'At the top' if section == 'top' else section}\n"
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        hints = typing.get_type_hints(kind)
        for each in dataclasses.fields(kind):
            shown = f"`{each.name}` | {_kind(hints[each.name])} | {_default(each)}"
            yield f"| {shown} | {meanings()[section][each.name]} |"
        yield ""


def _kind(hint: Any) -> str:
    words = {str: "text", int: "number", bool: "true or false", type(None): "", Any: "any"}
    if hint in words:
        return words[hint]
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if typing.get_origin(hint) is tuple:
        return f"list of {_plural(inner[0])}"
    if typing.get_origin(hint) is dict:
        return "table" if inner[1] is Any else f"table of {_plural(inner[1])}"
    if inner:
        return " or ".join(filter(None, map(_kind, inner)))
    return "table"


def _plural(hint: Any) -> str:
    return {str: "texts", int: "numbers"}.get(hint, "entries")


def _default(each: Any) -> str:
    value = each.default
    if value is dataclasses.MISSING:
        if each.default_factory is dataclasses.MISSING:
            return "must be given"
        value = each.default_factory()
    if value is None or value in ((), {}) or dataclasses.is_dataclass(value):
        return ""
    if each.name == "hosts":
        return "this machine"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _presets() -> Iterator[str]:
    yield "## Presets\n"
    for name in presets.names():
        yield f"### {name}\n\n```yaml\n{presets.text(name).rstrip()}\n```\n"


def main() -> int:
    """Writes both files, or says which is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in ((TARGET, page()), (SCHEMA, schema.dumps())):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{path.name} is stale: run scripts/gen_stackfile_docs.py", file=sys.stderr)
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
