"""Orders version numbers of every scheme in use here and reads ranges of them.

Python packages number themselves by PEP 440, Huawei's packages do not (``6.3.RC3.1``,
``23.0.rc1.b070``), interpreters are often named without a patch level, and chips have only names.
One comparison key per version serves them all, so that the rest of the deploy wing never asks
which scheme it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from paddock.errors import CatalogError

SCHEMES = ("pep440", "huawei", "python", "name")

LATEST_PATCH = 10**6
"""Stands for the newest patch release of a Python that is named by two numbers (``3.9``)."""

Key = tuple[Any, ...]

_STAGES = {"alpha": -4, "a": -4, "beta": -3, "b": -3, "rc": -2}
_RELEASED = -1
_NUMBER = 0


@lru_cache(maxsize=4096)
def key(text: str, scheme: str) -> Key:
    """What ``text`` compares by within its scheme; raises CatalogError for what is no version.

    ``python``: ``3.9`` is the newest 3.9 there is, above ``3.9.7``. ``name`` has no order.
    """
    if scheme == "name":
        return (text,)
    if scheme == "pep440":
        return _pep440(text)
    if scheme == "python":
        numbers = _numbers(text)
        return numbers if len(numbers) > 2 else (*numbers, LATEST_PATCH)
    return _huawei(text)


def bound(text: str, scheme: str) -> Key:
    """``key`` for the end of a range: ``>=3.9`` begins at 3.9.0."""
    return _numbers(text) if scheme == "python" else key(text, scheme)


def is_final(text: str, scheme: str) -> bool:
    """False for pre-releases and development builds of Python packages.

    Huawei's RCs are ordinary quarterly releases, so every version of that scheme is final.
    """
    if scheme != "pep440":
        return True
    from packaging.version import Version

    return not Version(text.lstrip("v")).is_prerelease


def _pep440(text: str) -> Key:
    from packaging.version import InvalidVersion, Version

    try:
        return (Version(text.lstrip("v")),)
    except InvalidVersion as error:
        raise CatalogError(f"{text!r} is not a version of a Python package") from error


def _numbers(text: str) -> Key:
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise CatalogError(f"{text!r} is not a version of Python")
    return tuple(int(part) for part in text.split("."))


def _huawei(text: str) -> Key:
    """``8.0.RC1`` < ``8.0.RC1.1`` < ``8.0.0`` < ``8.0.0.1``; a stage counts less than any number.

    Every part becomes (rank, number): a stage word ranks below the end of a version, which ranks
    below a further number.
    """
    if not re.fullmatch(r"\d+(\.\w+)*", text):
        raise CatalogError(f"{text!r} is not a version of an Ascend package")
    parts: list[tuple[int, int]] = []
    for part in text.lower().split("."):
        found = re.fullmatch(r"([a-z]*)(\d*)", part)
        if not found or (found[1] and found[1] not in _STAGES):
            raise CatalogError(f"{text!r} is not a version of an Ascend package")
        rank = _STAGES[found[1]] if found[1] else _NUMBER
        parts.append((rank, int(found[2] or 0)))
    return (*parts, (_RELEASED, 0))


@dataclass(frozen=True, slots=True)
class Range:
    """A set of versions: alternatives (``|``) of conditions that hold together (``,``).

    Conditions are ``>=``, ``>``, ``<=``, ``<``, ``==``, ``!=`` and a version, ``3.20.*`` for all
    that begin so, ``*`` for all. A bare version is that version alone.
    """

    text: str
    scheme: str
    alternatives: tuple[tuple[tuple[str, str], ...], ...]

    def holds(self, version: str) -> bool:
        """Whether ``version`` belongs to the set."""
        return any(
            all(_condition(op, end, version, self.scheme) for op, end in conditions)
            for conditions in self.alternatives
        )

    def exact(self) -> tuple[str, ...]:
        """The versions that are named one by one."""
        return tuple(
            end for conditions in self.alternatives for op, end in conditions if op == "=="
        )


@lru_cache(maxsize=4096)
def parse_range(text: str, scheme: str) -> Range:
    """The set that ``text`` describes; raises CatalogError for what is no version or condition."""
    alternatives = []
    for part in text.split("|"):
        conditions = tuple(_parse_condition(c.strip(), scheme) for c in part.split(","))
        alternatives.append(conditions)
    return Range(text, scheme, tuple(alternatives))


def _parse_condition(text: str, scheme: str) -> tuple[str, str]:
    if text == "*":
        return "*", ""
    found = re.fullmatch(r"(>=|<=|==|!=|>|<|)\s*([^\s<>=!]+)", text)
    if not found:
        raise CatalogError(f"{text!r} is neither a version nor a range of versions")
    op, end = found[1] or "==", found[2]
    if end.endswith(".*"):
        if op != "==":
            raise CatalogError(f"{text!r}: a prefix like {end} goes without {op}")
        return "prefix", end[:-2]
    if op not in ("==", "!=") and scheme == "name":
        raise CatalogError(f"{text!r}: names have no order")
    # A version that does not parse is found here and not at the first comparison.
    (key if op in ("==", "!=") else bound)(end, scheme)
    return op, end


def _condition(op: str, end: str, version: str, scheme: str) -> bool:
    if op == "*":
        return True
    if op == "prefix":
        return f"{version}.".startswith(f"{end}.")
    mine = key(version, scheme)
    if op in ("==", "!="):
        return (mine == key(end, scheme)) is (op == "==")
    other = bound(end, scheme)
    if op == ">=":
        return mine >= other
    if op == ">":
        return mine > other
    return mine <= other if op == "<=" else mine < other
