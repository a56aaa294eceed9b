"""From JSON and plain values to dataclasses, one thread at a time.

msgspec (0.22) gathers what it knows of a dataclass when the type is first asked for, and a second
thread that asks meanwhile works with the half of it: the process dies of SIGSEGV. Hosts are worked
on in threads.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

T = TypeVar("T")

_ASKING = threading.Lock()


def decode(data: str | bytes, kind: type[T]) -> T:
    """The value in a JSON text. Raises msgspec.MsgspecError for anything else."""
    import msgspec

    with _ASKING:
        return msgspec.json.decode(data, type=kind)


def convert(values: Any, kind: type[T]) -> T:
    """The value that plain JSON values describe. Raises msgspec.ValidationError for others."""
    import msgspec

    with _ASKING:
        return msgspec.convert(values, kind)
