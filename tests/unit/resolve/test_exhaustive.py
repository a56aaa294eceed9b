"""Everything the resolver offers is checked pair by pair, by a judge written apart from it.

The judge reads the TOML files itself and compares versions with packaging or number by number; it
shares no code with the resolver or the loader.
"""

from __future__ import annotations

import random
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import paddock.deploy.catalog
from paddock.deploy.catalog import Catalog, Level, load
from paddock.deploy.resolve import HostView, Stack, VersionFile, Wish, make, resolve
from paddock.deploy.resolve.build import build
from paddock.deploy.resolve.solve import Solver
from paddock.deploy.resolve.stack import assemble
from paddock.errors import NoStack

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(paddock.deploy.catalog.__file__).parent / "data"
CHIPS = ("910", "910b", "a3", "310p", "310b", "950")


@cache
def tables() -> list[dict[str, Any]]:
    found = []
    for path in sorted(DATA.glob("*.toml")):
        found += tomllib.loads(path.read_text(encoding="utf-8")).get("table", [])
    return found


@cache
def schemes() -> dict[str, str]:
    return {
        component["id"]: component["scheme"]
        for path in DATA.glob("*.toml")
        for component in tomllib.loads(path.read_text(encoding="utf-8")).get("component", ())
    }


def order(component: str, version: str) -> Any:
    """Something that compares; only ever among versions of one component."""
    scheme = schemes()[component]
    if scheme == "pep440":
        return Version(version)
    if scheme == "python":
        return [int(part) for part in version.split(".")]
    ranks = {"alpha": 0, "beta": 1, "b": 1, "rc": 2, "": 4}
    parts = [re.fullmatch(r"([a-z]*)(\d*)", part) for part in version.lower().split(".")]
    return [(ranks[p[1]], int(p[2] or 0)) for p in parts if p] + [(3, 0)]


def holds(component: str, cell: str, version: str) -> bool:
    for alternative in cell.split("|"):
        for condition in alternative.split(","):
            found = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)?\s*(\S+?)\s*", condition)
            assert found
            if not one(component, found[1] or "==", found[2], version):
                break
        else:
            return True
    return False


def one(component: str, op: str, end: str, version: str) -> bool:
    if end == "*":
        return True
    if end.endswith(".*"):
        return (version + ".").startswith(end[:-1])
    if op in ("==", "!="):
        return (version.lower() == end.lower()) == (op == "==")
    whole = version
    if schemes()[component] == "python" and version.count(".") == 1:
        whole = f"{version}.999"  # the newest patch release there is
    mine, other = order(component, whole), order(component, end)
    return {">=": mine >= other, "<=": mine <= other, ">": mine > other, "<": mine < other}[op]


@cache
def rows(a: str, b: str) -> list[tuple[dict[str, Any], str, str]]:
    """Every row that pairs ``a`` with ``b``: its table and the two cells."""
    found = []
    for table in tables():
        columns = table["columns"]
        if columns[0] == a and b in columns[1:]:
            at = columns.index(b)
            found += [(table, row[0], row[at]) for row in table["rows"] if row[at] not in ("", "-")]
    return found


@cache
def holds_cached(component: str, cell: str, version: str) -> bool:
    return holds(component, cell, version)


def judge(values: dict[str, str]) -> list[str]:
    """What is wrong with a set of versions: every pair against every table."""
    wrong = []
    for a in values:
        for b in values:
            if rows(a, b):
                wrong += judge_pair(values, a, b, further=False)
                wrong += judge_pair(values, a, b, further=True)
    return wrong


def judge_pair(values: dict[str, str], a: str, b: str, *, further: bool) -> list[str]:
    stated = fits = False
    for table, mine, other in rows(a, b):
        if bool(table.get("further")) != further:
            continue
        if not set(table.get("only_with", ())) <= set(values):
            continue
        if not holds_cached(a, mine, values[a]):
            continue
        match = holds_cached(b, other, values[b])
        if table["level"] != "reported-bad":
            stated, fits = True, fits or match
        elif match:
            return [f"{a} {values[a]} with {b} {values[b]} is bad: {table['id']}"]
    if not stated or fits or (a, b) == ("driver", "firmware"):
        return []
    if (a, b) == ("cann", "driver"):
        return judge_families(values["cann"], values["driver"])
    return [f"no row has {a} {values[a]} with {b} {values[b]}"]


def judge_families(cann: str, driver: str) -> list[str]:
    """No matched pair: one of the two must list the other's family."""
    files = {}
    for table in tables():
        if table.get("releases") and table["columns"][0] in ("cann", "driver"):
            for row in table["rows"]:
                files[table["columns"][0], row[0]] = dict(zip(table["columns"], row, strict=True))
    one, other = files[("cann", cann)], files[("driver", driver)]
    sides = [(one, other), (other, one)]
    if any(b.get("inner", "-")[:11] in a.get("compatible", "").split() for a, b in sides):
        return []
    return [f"the files of CANN {cann} and driver {driver} do not admit each other"]


def check(stack: Stack) -> None:
    values = {c.component: c.version for c in stack.choices}
    assert judge(values) == []


def offer(catalog: Catalog, view: HostView, wish: Wish) -> Stack | None:
    """As ``resolve``, without the explanation of a refusal, which takes most of the time."""
    problem = build(catalog, view, wish)
    found = Solver(problem).best([demand.name for demand in problem.demands])
    return found and assemble(catalog, view, wish, problem, found)


def view(chip: str, driver: str | None = None) -> HostView:
    if chip in ("cpu", "nvidia"):
        return HostView(accelerator=chip, chip=chip)
    file = VersionFile(driver) if driver else None
    return HostView(accelerator="ascend", chip=chip, arch="aarch64", driver=file)


def test_the_judge_judges() -> None:
    good = {"torch_npu": "2.1.0", "torch": "2.1.0", "cann": "7.0.0", "python": "3.9.7"}
    assert judge(good) == []
    assert len(judge({**good, "torch_npu": "2.1.0.post3"})) == 1
    assert len(judge({**good, "python": "3.9"})) == 1  # its newest patch is beyond 3.9.7
    assert len(judge({**good, "numpy": "2.0.2"})) == 1
    assert judge({"cann": "8.5.0", "driver": "24.1.0"}) != []
    assert judge({"cann": "8.0.RC3", "driver": "24.1.rc2.2"}) != []
    assert judge({"cann": "8.0.0", "driver": "23.0.7"}) == []
    assert judge({"network": "host", "ports": "published"}) != []


FRAMEWORK = {"torch": ("torch_npu", "torch", "cann"), "vllm": ("vllm_ascend", "cann"),
             "mindspore": ("mindformers", "mindspore", "cann")}  # fmt: skip


@pytest.mark.parametrize("framework", FRAMEWORK)
@pytest.mark.parametrize("chip", CHIPS)
def test_every_offer_passes(framework: str, chip: str) -> None:
    """Every version of every main component is asked for on every chip."""
    catalog = load()
    offered = 0
    for component in FRAMEWORK[framework]:
        for version in catalog.newest_first(component):
            wish = make(catalog, framework, pins=(f"{component}={version}",))
            stack = offer(catalog, view(chip), wish)
            if stack is None:
                continue
            offered += 1
            check(stack)
            assert stack.version(component) == version
    assert offered or (framework, chip) in {
        *(("vllm", chip) for chip in ("910", "310b")),
        *(("mindspore", chip) for chip in ("310p", "310b", "950")),
    }


@pytest.mark.parametrize("block", range(4))
def test_random_wishes(block: int) -> None:
    """Random drivers and pins: what is offered passes, and what is refused has no way around."""
    catalog = load()
    draw = random.Random(block)
    offered = 0
    for _ in range(15):
        framework = draw.choice(sorted(FRAMEWORK))
        chip = draw.choice(("910", "910b", "a3"))
        driver = draw.choice((None, *catalog.newest_first("driver")))
        names = draw.sample([*FRAMEWORK[framework], "python", "numpy"], draw.randint(0, 2))
        pins = tuple(f"{name}={draw.choice(catalog.newest_first(name))}" for name in names)
        try:
            stack = resolve(catalog, view(chip, driver), make(catalog, framework, pins=pins))
        except NoStack as error:
            for explanation in error.explanations:
                assert explanation.corrections
                assert all(explanation.causes)
            continue
        offered += 1
        check(stack)
    assert offered


def test_other_accelerators_pass() -> None:
    catalog = load()
    for accelerator, framework, component in (
        ("nvidia", "torch", "torch"),
        ("nvidia", "torch", "cuda"),
        ("cpu", "torch", "torch"),
        ("cpu", "mindspore", "mindformers"),
    ):
        offered = 0
        for version in catalog.newest_first(component):
            wish = make(catalog, framework, pins=(f"{component}={version}",))
            stack = offer(catalog, view(accelerator), wish)
            if stack is not None:
                offered += 1
                check(stack)
        assert offered, (accelerator, framework)


SOFTWARE = {"mindformers": "mindspore", "mindspore": "mindspore", "torch_npu": "torch",
            "vllm_ascend": "vllm", "cann": "cann"}  # fmt: skip


def official_rows() -> list[tuple[str, str, str, str, str]]:
    """Every official pairing of one exact version with another, as (framework, a, v, b, w)."""
    catalog = load()
    rows = set()
    for pairing in catalog.pairings:
        if pairing.level is not Level.official or pairing.subject not in SOFTWARE:
            continue
        framework = "vllm" if pairing.only_with else SOFTWARE[pairing.subject]
        if pairing.object in ("chip", "mindspore", "cann", "driver", "torch", "torch_npu", "vllm"):
            for a in pairing.subjects.exact():
                for b in pairing.objects.exact():
                    rows.add((framework, pairing.subject, a, pairing.object, b))
    return sorted(rows)


OFFICIAL = official_rows()


def test_there_are_rows() -> None:
    assert len(OFFICIAL) > 350


@pytest.mark.parametrize("block", range(8))
def test_every_official_row_is_reachable(block: int) -> None:
    """There is a machine and a wish that brings each published pair."""
    catalog = load()
    for framework, a, v, b, w in OFFICIAL[block::8]:
        if w == "cpu":
            continue
        chips = (w,) if b == "chip" else ("910b", "910")
        assert any(
            reached(catalog, framework, chip, {a: v} if b == "chip" else {a: v, b: w})
            for chip in chips
        ), f"{a} {v} with {b} {w}"


def reached(catalog: Catalog, framework: str, chip: str, pins: dict[str, str]) -> bool:
    texts = tuple(f"{name}={version}" for name, version in pins.items())
    allow = ("unverified",) if pins.get("mindformers") in ("0.3.0", "0.6.0") else ()
    if pins.get("mindspore") in ("1.8.1", "1.10.0", "2.0.0"):
        allow = ("unverified",)
    stack = offer(catalog, view(chip), make(catalog, framework, pins=texts, allow=allow))
    return stack is not None and all(
        stack.version(name) == version for name, version in pins.items()
    )
