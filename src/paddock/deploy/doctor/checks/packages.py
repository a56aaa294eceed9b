"""Checks of Python interpreters and what is installed in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject


@check
def distributions_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Interpreters that run kernels of CANN without the ``names`` that its compiler imports."""
    if subject.toolkit is None:
        return
    for python in subject.pythons:
        if not (python.version_of("mindspore") or python.version_of("torch-npu")):
            continue
        missing = [name for name in args["names"].split() if not python.version_of(name)]
        if missing:
            fact = f"{python.path} has no {', '.join(missing)}"
            values = {"python": python.path, "missing": " ".join(missing)}
            yield Evidence(fact, "installed distributions", values)


@check
def distribution_with(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """An interpreter with ``first`` and ``second`` in versions that start by these numbers.

    ``first_below`` and ``second_from`` are whole first numbers, or empty for any version.
    """
    for python in subject.host.pythons:
        one, other = python.version_of(args["first"]), python.version_of(args["second"])
        if one is None or other is None:
            continue
        below, at_least = args.get("first_below", ""), args.get("second_from", "")
        if (not below or numbers(one) < numbers(below)) and (
            not at_least or numbers(other) >= numbers(at_least)
        ):
            fact = f"{args['first']} {one} and {args['second']} {other} in {python.path}"
            yield Evidence(fact, "installed distributions", {"python": python.path})


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; empty where there are none."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


@check
def torch_npu_without_cann(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """torch_npu in an interpreter of a machine that has no CANN: then ``import torch`` fails too.

    Loading backends by themselves came with torch 2.5.
    """
    library, host = subject.host.library("libhccl.so"), subject.host
    if library is None or library.paths or library.loads_from or subject.toolkit:
        return
    for python in host.pythons:
        npu, torch = python.version_of("torch-npu"), python.version_of("torch")
        if npu and torch and numbers(torch) >= (2, 5):
            fact = f"torch-npu {npu} beside torch {torch} in {python.path}, and there is no CANN"
            values = {"python": python.path}
            yield Evidence(fact, "installed distributions, ldconfig -p", values)


@check
def no_wheel(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """torch_npu is wanted, and no torch that it is built for has a wheel for this Python or CPU."""
    python, arch = subject.host.python, subject.host.system.arch
    if subject.wish.framework not in ("torch", "vllm") or not subject.has_ascend:
        return
    if arch and arch not in ("aarch64", "x86_64"):
        yield Evidence(f"there are no wheels for {arch}", "uname -m")
    if python is None or not python.version or python.version_of("torch-npu"):
        return
    rows = subject.catalog.by_pair.get(("torch", "python"), ())
    if rows and not any(row.objects.holds(python.version) for row in rows):
        fact = f"the active Python is {python.version}"
        yield Evidence(fact, python.path, {"python": python.path})


@check
def compiler_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A toolkit on a machine without g++."""
    if subject.toolkit is not None and subject.host.tools and subject.host.tool("g++") is None:
        found = f"CANN {subject.toolkit.version or ''} is installed, and g++ is not"
        yield Evidence(found, "PATH")
