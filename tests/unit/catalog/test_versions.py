"""Order and ranges of versions, against packaging where it knows the scheme."""

from __future__ import annotations

import itertools

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from paddock.deploy.catalog.versions import is_final, key, parse_range
from paddock.errors import CatalogError

HUAWEI = [
    *("1.0.RC3.alpha", "1.0.19.alpha", "1.0.22.alpha"),
    *("5.0.2", "5.0.4", "5.1.RC1", "5.1.RC2", "6.0.RC1", "6.0.1"),
    *("6.3.RC1", "6.3.RC2.alpha005", "6.3.RC2", "6.3.RC3", "6.3.RC3.1"),
    *("7.0.RC1", "7.0.0", "7.0.1"),
    *("8.0.RC1", "8.0.RC2", "8.0.RC3", "8.0.0", "8.1.RC1", "8.3.RC1", "8.3.RC2", "8.5.0", "8.5.1"),
    *("23.0.rc1.b070", "23.0.rc1", "23.0.rc3", "23.0.0", "23.0.7", "24.1.rc2", "24.1.rc2.2"),
    *("24.1.rc3", "24.1.0", "24.1.0.1", "25.0.rc1", "25.0.rc1.1", "25.2.0"),
]  # fmt: skip
"""In the order in which they were published, as far as one number line has it."""


def test_huawei_order() -> None:
    assert sorted(HUAWEI, key=lambda v: key(v, "huawei")) == HUAWEI


def test_spelling_does_not_matter() -> None:
    assert key("24.1.RC2", "huawei") == key("24.1.rc2", "huawei")
    assert key("v2.6.0-rc1", "pep440") == key("2.6.0rc1", "pep440")


PEP440 = [
    "2.0.0rc1",
    "2.1.0",
    "2.1.0.post3",
    "2.7.1.dev20250724",
    "2.7.1",
    "2.10.0",
    "2.10.0.post4",
]


@pytest.mark.parametrize("version", PEP440)
@pytest.mark.parametrize(
    "text", [">=2.1", "<2.7.1", "==2.1.0", "!=2.1.0", "<=2.10.0,>=2.7", ">2.1.0"]
)
def test_ranges_are_pips(version: str, text: str) -> None:
    expected = SpecifierSet(text).contains(Version(version), prereleases=True)
    exceptions = {
        # PEP 440 keeps posts out of > and pre-releases out of <, to guard the unwary; here a
        # bound is a point in the order and nothing else.
        (">2.1.0", "2.1.0.post3"),
        ("<2.7.1", "2.7.1.dev20250724"),
    }
    found = parse_range(text, "pep440").holds(version)
    assert found == ((text, version) in exceptions or expected)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("3.9.*", ["3.9", "3.9.7", "3.9.18"], ["3.10", "3.90"]),
        (">=3.9.0,<=3.9.7", ["3.9.0", "3.9.7"], ["3.9", "3.9.8", "3.8"]),
        (">=3.10,<3.13", ["3.10", "3.10.1", "3.12"], ["3.9", "3.13", "3.13.0"]),
        (">=3.7,<=3.11.4", ["3.7", "3.10", "3.11.4"], ["3.11", "3.11.5"]),
        ("3.7.* | 3.9.*", ["3.7", "3.9.1"], ["3.8"]),
        ("*", ["3.7", "3.14"], []),
    ],
)
def test_python(text: str, inside: list[str], outside: list[str]) -> None:
    """Two numbers are the newest patch release: beyond a bound that names one."""
    versions = parse_range(text, "python")
    assert [v for v in inside + outside if versions.holds(v)] == inside


def test_names() -> None:
    versions = parse_range("910 | 910b", "name")
    assert versions.holds("910b")
    assert not versions.holds("910B")
    assert parse_range("!=cpu", "name").holds("910")


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        (">=910", "name"),
        ("~=2.0", "pep440"),
        ("two", "pep440"),
        ("8.0.final", "huawei"),
        ("3.x", "python"),
        (">=3.9.*", "python"),
        ("", "pep440"),
    ],
)
def test_what_is_no_range(text: str, scheme: str) -> None:
    with pytest.raises(CatalogError):
        parse_range(text, scheme)


def test_finals() -> None:
    assert is_final("2.1.0.post3", "pep440")
    assert not is_final("0.8.4rc2", "pep440")
    assert is_final("8.3.RC1", "huawei")


def test_every_pair_has_an_order() -> None:
    for one, other in itertools.combinations(HUAWEI, 2):
        assert (key(one, "huawei") < key(other, "huawei")) != (
            key(one, "huawei") > key(other, "huawei")
        )
