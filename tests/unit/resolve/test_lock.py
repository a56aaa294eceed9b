"""paddock.lock: what was resolved, with its evidence, written and read back."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView, Lock, Stack, VersionFile, lock, make, resolve
from paddock.deploy.resolve.stack import RULE
from paddock.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VIEW = HostView(
    accelerator="ascend",
    chip="910b",
    arch="aarch64",
    os="ubuntu:22.04",
    driver=VersionFile("23.0.7", "V100R001C15SPC012B220", ("V100R001C15",), origin="driver"),
    toolkits={"8.0.0": VersionFile("8.0.0", "V100R001C20SPC001B251", ("V100R001C15",))},
)


def locked(framework: str = "torch", **wish: object) -> Lock:
    asked = make(load(), framework, **wish)  # type: ignore[arg-type]
    stack = resolve(load(), VIEW, asked)
    return Lock(stack, VIEW, asked.to_dict(), datetime.date(2026, 11, 25))


def test_round_trip() -> None:
    for framework in ("torch", "mindspore", "vllm"):
        written = locked(framework)
        assert lock.loads(lock.dumps(written)) == written


def test_what_a_person_sees() -> None:
    table = tomllib.loads(lock.dumps(locked("mindspore", model="llama2-7b")))
    assert table["schema"] == 1
    assert table["written"] == datetime.date(2026, 11, 25)
    assert table["wish"]["model"] == "llama2-7b"
    assert table["host"]["driver"]["inner"] == "V100R001C15SPC012B220"
    versions = {c["component"]: c["version"] for c in table["stack"]["choices"]}
    assert versions["mindformers"] == "1.5.0"
    evidence = table["stack"]["evidence"]
    assert all(e["source"] for e in evidence)
    assert all(e["url"].startswith("http") for e in evidence if e["source"] != RULE)
    rule = next(e for e in evidence if (e["subject"], e["object"]) == ("cann", "driver"))
    assert rule["level"] == "derived"
    assert "V100R001C15" in rule["why"]


def test_a_stack_is_plain_values() -> None:
    stack = locked().stack
    assert Stack.from_dict(stack.to_dict()) == stack
    with pytest.raises(CatalogError, match="not a stack"):
        Stack.from_dict({"framework": "torch"})


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "paddock.lock"
    lock.write(path, locked())
    assert lock.read(path) == locked()
    assert [p.name for p in tmp_path.iterdir()] == ["paddock.lock"]


def test_pins_are_the_software() -> None:
    pins = locked("mindspore").pins()
    assert "mindformers=1.6.0" in pins
    assert not any(pin.startswith(("driver=", "chip=", "network=", "os=")) for pin in pins)
    again = resolve(load(), VIEW, make(load(), "mindspore", pins=pins))
    assert again.version("mindspore") == locked("mindspore").stack.version("mindspore")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema = 1", "schema = 9"), "has schema 9, this version reads 1"),
        (("schema = 1", "schema = "), "is not TOML"),
        (("[stack]", "[stock]"), "'stack'"),
        (("written = 2026-11-25\n", ""), "'written'"),
    ],
)
def test_what_is_no_lock(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "paddock.lock"
    text = lock.dumps(locked())
    assert change[0] in text
    path.write_text(text.replace(*change).replace("[stack.", "[stock.") if "stock" in change[1]
                    else text.replace(*change))  # fmt: skip
    with pytest.raises(CatalogError) as caught:
        lock.read(path)
    assert message in caught.value.message
    assert "paddock.lock" in caught.value.message


def test_a_lock_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "paddock.lock"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError, match="is not a lock"):
        lock.read(path)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            st.text() | st.integers(-(2**62), 2**62) | st.booleans(),
            lambda inner: st.lists(st.text()) | st.dictionaries(st.text(min_size=1), inner),
            max_leaves=6,
        ),
    )
)
def test_the_writer_writes_toml(table: dict[str, object]) -> None:
    """Whatever texts come from a machine, the standard library reads them back."""
    text = "".join(lock._toml(table))
    assert tomllib.loads(text) == table
