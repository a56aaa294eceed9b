"""Finds the Python that has MindSpore and MindFormers, which need not be the one that runs us."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from paddock.errors import DeviceError
from paddock.shell import LocalRunner, Runner

NEEDED = ("mindspore", "mindformers")
_HAS_BOTH = (
    "import sys; from importlib.util import find_spec;"
    f" sys.exit(not all(map(find_spec, {NEEDED!r})))"
)


def find_python(asked: str | Path | None, runner: Runner | None = None) -> str:
    """``asked`` (an option or a setting), else this interpreter, else the ``python3`` of PATH.

    The last two only if they have both packages, which is looked up and not imported. What was
    asked is taken as it is: whether it has them, the worker says. Raises DeviceError.
    """
    if asked is not None:
        path = Path(asked).expanduser()
        if path.is_dir():
            path = path / "bin" / "python"
        if not path.is_file():
            raise DeviceError(
                f"there is no Python at {path}", hint="name an interpreter: --mindspore-python PATH"
            )
        return str(path.absolute())  # the worker runs in a folder of its own
    if all(importlib.util.find_spec(name) is not None for name in NEEDED):
        return sys.executable
    if (runner or LocalRunner()).run(["python3", "-c", _HAS_BOTH]).ok:
        return "python3"
    raise DeviceError(
        "no Python with MindSpore and MindFormers was found",
        hint="name one with --mindspore-python or PADDOCK_MINDSPORE_PYTHON;"
        " docs/guides/mindspore.md says how to make it",
    )
