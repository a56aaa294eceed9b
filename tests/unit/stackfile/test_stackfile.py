"""paddock.yaml: what is understood, what is refused and how, presets, overrides, the schema."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

import gen_stackfile_docs
from paddock.deploy import stackfile
from paddock.deploy.host import target
from paddock.deploy.stackfile import document, presets, schema, write
from paddock.deploy.stackfile.keys import SECTIONS, meanings
from paddock.errors import UsageError

HERE = Path(__file__).parent
HOSTS = HERE.parents[1] / "hosts"
FAULTS = yaml.safe_load((HERE / "faults.yaml").read_text())
GOOD = yaml.safe_load((HERE / "good.yaml").read_text())


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["file"][:40])
def test_what_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        stackfile.loads(case["file"])
    assert case["says"] in str(caught.value)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["file"][:40])
def test_what_is_understood(case: dict[str, Any]) -> None:
    file = stackfile.loads(case["file"])
    for place, wanted in case["gives"].items():
        value: Any = file
        for part in place.split("."):
            if isinstance(value, dict):
                value = value[part]
            else:
                value = value[int(part)] if part.isdecimal() else getattr(value, part)
        assert value == wanted, place


def test_overrides_are_merged_key_by_key() -> None:
    file = stackfile.loads(
        "container: {engine: docker, shm: 8G, ports: ['1:1']}\n"
        "hosts:\n  - name: a\n  - name: b\n    address: ssh://b\n    override:\n"
        "      container: {shm: 1G, ports: ['2:2']}\n      serve: {port: 9000}\n"
    )
    first, second = (stackfile.for_host(file, entry) for entry in file.hosts)
    assert (first.container.shm, first.container.ports) == ("8G", ("1:1",))
    assert (second.container.shm, second.container.ports) == ("1G", ("2:2",))
    assert second.container.engine == "docker"
    assert (first.serve.port, second.serve.port) == (8000, 9000)
    assert [entry.name for entry in second.hosts] == ["b"]


def test_an_override_may_name_a_preset() -> None:
    file = stackfile.loads(
        "serve: {port: 9000}\nhosts:\n  - name: a\n    override: {preset: atlas-800-9000}\n"
    )
    mine = stackfile.for_host(file, file.hosts[0])
    assert (mine.container.engine, mine.serve.port) == ("auto", 9000)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paddock.yaml"
    path.write_bytes(b"# " + b"x" * document.SIZE_LIMIT)
    with pytest.raises(UsageError, match="larger than"):
        stackfile.load(path)


def test_a_deep_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"nested this deep|not YAML"):
        stackfile.loads("container: " + "[" * 5000 + "]" * 5000)


def test_no_file_is_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stackfile.load() == stackfile.Stackfile()
    (tmp_path / "paddock.yaml").write_text("name: here\n")
    assert stackfile.load().name == "here"
    with pytest.raises(UsageError, match="cannot read"):
        stackfile.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_stack_files(name: str) -> None:
    assert stackfile.loads(f"preset: {name}\n").preset == name
    written = stackfile.loads(write.from_preset(name, address="root@npu1"))
    assert written.hosts[0].address == "ssh://root@npu1"
    plain = stackfile.loads(f"preset: {name}\nhosts: ['ssh://root@npu1']\n")
    assert dataclasses.replace(plain, preset=None) == written


def test_what_is_written_fits_recorded_hosts() -> None:
    seen = set()
    for path in sorted(HOSTS.glob("*/recording.toml")):
        host = target.recorded(path.parent)
        stackfile.loads(write.from_facts(host))
        seen.add(write.preset_for(host)[1])
    assert {"atlas-800-9000", "atlas-800t-a2"} <= seen


def test_every_key_is_explained_once() -> None:
    assert list(meanings()) == list(SECTIONS)
    for section, kind in SECTIONS.items():
        assert list(meanings()[section]) == [each.name for each in dataclasses.fields(kind)]
    hints = typing.get_type_hints(stackfile.Stackfile)
    tables = {k for k, h in hints.items() if k in SECTIONS or dataclasses.is_dataclass(h)}
    assert tables | {"top"} == set(SECTIONS)


def test_the_reference_is_current() -> None:
    assert gen_stackfile_docs.TARGET.read_text() == gen_stackfile_docs.page()
    assert gen_stackfile_docs.SCHEMA.read_text() == schema.dumps()


def test_the_schema_is_one_and_agrees() -> None:
    judge = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    found = schema.schema()
    judge.Draft202012Validator.check_schema(found)
    validator = judge.Draft202012Validator(found)
    for case in GOOD:
        values = document.parse(case["file"], "x").values
        if None in values.values() or any(
            None in v.values() for v in values.values() if isinstance(v, dict)
        ):
            continue  # a key without a value: an editor may complain
        if isinstance(values.get("hosts"), str):
            continue  # the short form for one host
        validator.validate(values)
    for name in presets.names():
        validator.validate(presets.read(name))
    for text in ("contaner: {}", "serve: {port: 0}", "container: {engine: x}", "hosts: []"):
        assert not validator.is_valid(document.parse(text, "x").values), text
