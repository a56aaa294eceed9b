"""Checks of shared libraries and of the environment that finds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject

LOADING = (
    "LD_LIBRARY_PATH",
    "ASCEND_HOME_PATH",
    "ASCEND_TOOLKIT_HOME",
    "ATB_HOME_PATH",
    "PYTHONPATH",
)


@check
def library_not_on_path(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """The library ``name`` lies on the disk, and neither the loader nor npu-smi finds it."""
    library, smi = subject.host.library(args["name"]), subject.ascend.npu_smi
    if smi is not None and smi.exit_code == 0:
        return  # npu-smi is linked to it
    if library and library.paths and library.loads_from is None:
        folder = library.paths[0].rpartition("/")[0]
        fact = f"{library.name} is in {folder}, and the loader finds none"
        yield Evidence(fact, "LD_LIBRARY_PATH, ldconfig -p", {"folder": folder})


@check
def driver_library_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Device nodes without the driver's libraries: its folder is not mounted."""
    if not any("davinci" in node.path for node in subject.ascend.nodes):
        return
    for name in args["names"].split():
        library = subject.host.library(name)
        if library and not library.paths and library.loads_from is None:
            yield Evidence(f"{name} is nowhere on this machine", "the usual folders, ldconfig -p")


@check
def toolkit_not_sourced(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A toolkit that is installed, and neither this session nor a login gets its libraries."""
    toolkit, library = subject.toolkit, subject.host.library("libascendcl.so")
    if toolkit is None or library is None or library.loads_from is not None:
        return
    sourced = [line for line in subject.host.startup if _sources_toolkit(line.text)]
    scripts = [s for s in subject.ascend.scripts if "nnal" not in s and "mindie" not in s]
    if not sourced and not subject.host.environment.get("ASCEND_HOME_PATH"):
        fact = f"CANN {toolkit.version or ''} is in {toolkit.path}, ASCEND_HOME_PATH is not set"
        values = {"script": scripts[0]} if scripts else {}
        yield Evidence(fact, "environment, startup files", values)


def _sources_toolkit(line: str) -> bool:
    return "set_env" in line and not line.lstrip().startswith("#") and "nnal" not in line


@check
def nnal_not_found(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """vLLM on Ascend without NNAL's library."""
    library = subject.host.library("libatb.so")
    wanting = [p for p in subject.pythons if p.version_of("vllm-ascend")]
    sourced = any("nnal" in line.text and "set_env" in line.text for line in subject.host.startup)
    if library is None or library.loads_from is not None or not wanting or sourced:
        return
    nnal = subject.ascend.component("nnal")
    state = f"NNAL {nnal.version or ''} is not sourced" if nnal else "NNAL is not installed"
    script = next((s for s in subject.ascend.scripts if "nnal" in s), "")
    fact = f"{state}, and vllm-ascend in {wanting[0].path} needs libatb.so"
    yield Evidence(fact, "ldconfig -p, environment", {"script": script})


@check
def image_environment_dropped(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Variables that the container's first process has and this session does not."""
    host = subject.host
    for name in LOADING:
        first = host.init_environment.get(name)
        if first and name not in host.environment:
            fact = f"{name} is set for the container's first process and not in this session"
            yield Evidence(fact, "/proc/1/environ", {"line": f"{name}={first}"})
