"""The catalogue that comes with Paddock: each row well formed, two-sided and sourced."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import gen_catalog_docs
from paddock.deploy.catalog import DATA, Level, load, validate
from paddock.deploy.catalog.validate import _side
from paddock.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMPONENTS = (
    *("driver", "firmware", "cann", "kernels", "nnal", "python", "mindspore", "mindformers"),
    *("mindinsight", "mindpet", "numpy", "protobuf", "torch", "torch_npu", "vllm_ascend"),
    *("image", "chip", "cuda", "nvidia_driver"),
)


def test_it_has_no_fault() -> None:
    assert validate(load()) == ()


def test_every_component_is_there() -> None:
    assert set(COMPONENTS) <= set(load().components)


def test_the_matrices_are_whole() -> None:
    """As many rows as upstream printed on the day of their source."""
    counts: dict[str, int] = {}
    for path in DATA.glob("*.toml"):
        for table in tomllib.loads(path.read_text()).get("table", ()):
            if table.get("releases") and {"cann", "mindspore"} & set(table["columns"][1:]):
                subject = table["columns"][0]
                if table["level"] == "official" and subject != "image":
                    counts[subject] = counts.get(subject, 0) + len(table["rows"])
    assert counts["torch_npu"] == 62
    assert counts["vllm_ascend"] == 36
    assert counts["mindformers"] == 16


def test_every_entry_has_source_date_and_level() -> None:
    catalog = load()
    entries = [
        *(release for rows in catalog.releases.values() for release in rows),
        *catalog.pairings,
        *catalog.artifacts,
    ]
    assert len(entries) > 900
    for entry in entries:
        source = catalog.sources[entry.source]
        assert source.url.startswith(("https://", "http://"))
        assert entry.date.year >= 2024
        assert isinstance(entry.level, Level)


def test_every_pairing_is_two_sided() -> None:
    """Both sides are releases, and each finds the pairing from where it stands."""
    catalog = load()
    for pairing in catalog.pairings:
        sides = ((pairing.subject, pairing.subjects), (pairing.object, pairing.objects))
        for component, versions in sides:
            assert not list(_side(catalog, component, versions))
            held = [v for v in catalog.newest_first(component) if versions.holds(v)]
            negative = all(op == "!=" for c in versions.alternatives for op, _ in c)
            if not (catalog.components[component].open or negative):
                assert held, f"{component} {versions.text}"
            for version in held:
                assert pairing in catalog.pairings_of(component, version)


@pytest.mark.parametrize("component", ["cann", "driver"])
def test_inner_versions_are_whole(component: str) -> None:
    """Families as the files print them; a slip of a digit would change what fits."""
    checked = 0
    for release in load().releases[component]:
        if "inner" in release.facts:
            assert re.fullmatch(r"V100R001C\d\dSPC\d{3}B\d{3}", release.facts["inner"])
            checked += 1
        for family in release.facts.get("compatible", "").split():
            assert re.fullmatch(r"V100R00[13]C\d\d", family)
    assert checked >= 7


def test_nothing_of_a_private_network_is_in_it() -> None:
    for path in DATA.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        assert "localhost" not in text
        for line in text.splitlines():
            assert "simple/" not in line or "devcloud.huaweicloud.com" in line, line


def test_the_reference_is_fresh() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "catalog.md"
    assert page.read_text(encoding="utf-8") == gen_catalog_docs.render(), (
        "run scripts/gen_catalog_docs.py"
    )


def test_it_is_read_once() -> None:
    assert load() is load()


def test_an_alias_finds_its_release() -> None:
    release = load().release("cann", "7.0.0.beta1")
    assert release is not None
    assert release.version == "7.0.0"


GOOD = """
[[source]]
id = "s"
title = "somebody's page"
url = "https://example.org/page"
read = 2026-01-01

[[component]]
id = "a"
title = "A"
scheme = "pep440"

[[component]]
id = "b"
title = "B"
scheme = "huawei"

[[table]]
releases = true
source = "s"
date = 2026-01-01
level = "official"
columns = ["b"]
rows = [["8.0.RC1"], ["8.0.0"]]

[[table]]
releases = true
source = "s"
date = 2026-01-01
level = "official"
columns = ["a", "b", "fact"]
rows = [["1.0", "8.0.0", "x"]]
"""


def folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "all.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_catalogue_of_ones_own(tmp_path: Path) -> None:
    catalog = load(folder(tmp_path, GOOD))
    assert validate(catalog) == ()
    release = catalog.release("a", "1.0.0")
    assert release is not None
    assert release.facts == {"fact": "x"}
    assert catalog.newest_first("b") == ("8.0.0", "8.0.RC1")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"8.0.0", "x"', '"8.1.0", "x"', "b 8.1.0 is not a release"),
        ('"8.0.0", "x"', '">=9.0", "x"', "no release of b is in '>=9.0'"),
        ('source = "s"\ndate', 'source = "t"\ndate', "the source 't' is used and not listed"),
        ("https://example.org/page", "somewhere", "has no public address"),
        ('["8.0.RC1"], ["8.0.0"]', '["8.0.0"], ["8.0.0"]', "a release is there twice"),
        ("date = 2026-01-01", "date = 2926-01-01", "which is to come"),
        ('level = "official"\ncolumns = ["a"', 'level = "reported-bad"\ncolumns = ["a"', "an id"),
        ('"a"\ntitle', '"c"\ntitle = "C"\nscheme = "name"\n\n[[component]]\nid = "a"\ntitle',
         "c: has no release"),
    ],
)  # fmt: skip
def test_faults_are_told(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    found = validate(load(folder(tmp_path, GOOD.replace(old, new))))
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"8.0.0", "x"]', '"8.0.0"]', "row 1: needs 3 texts"),
        ('"8.0.0", "x"]', '"8.final", "x"]', "is not a version"),
        ('level = "official"', 'level = "sure"', "unknown level 'sure'"),
        ('scheme = "huawei"', 'scheme = "semver"', "unknown scheme 'semver'"),
        ("releases = true", "release = true", "unknown key 'release'"),
        ('[[source]]\nid = "s"', '[[source]]\nid = 3', "id is 3, which is not a str"),
        ('title = "A"\n', "", "title is missing"),
        ("[[table]]", "[[tables]]", "unknown table 'tables'"),
        ('columns = ["a"', 'columns = ["z"', "the first column 'z' is not a component"),
        ("rows = [[", "rows = [", "cannot read all.toml"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(CatalogError, match=r"all\.toml") as caught:
        load(folder(tmp_path, GOOD.replace(old, new)))
    assert message in caught.value.message


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalogue"):
        load(tmp_path)
