"""``resolve`` and ``catalog``: parse, call one function, render; exit codes 0, 1 and 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Paddock = Callable[..., Any]
TESTS = Path(__file__).parents[2]
A910 = ("--chip", "910", "--arch", "aarch64", "--driver", "23.0.0", "--os", "ubuntu:20.04")
NOTES = ("-f", "torch", "--pin", "torch_npu=2.1.0.post3", "--pin", "cann=7.0.0")


@pytest.mark.parametrize(
    "args",
    [("resolve",), ("catalog",), ("catalog", "list"), ("catalog", "show"), ("catalog", "check")],
)
def test_help(paddock: Paddock, args: tuple[str, ...]) -> None:
    result = paddock(*args, "-h")
    assert result.code == 0
    assert "Examples:" in result.out


def test_a_stack(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, "--framework", "mindspore", "--model", "llama2-7b")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert ["MindFormers", "1.0.2", "chosen", "official"] in lines
    assert ["driver", "23.0.0", "host", "official"] in lines
    assert ["use_past", "true"] in lines
    assert "Ascend-cann-kernels-910_7.0.0_linux.run" in result.out
    assert "npu-driver" not in result.out, "it is installed already"


def test_a_stack_as_json(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, "--json")
    found = json.loads(result.out)
    assert result.code == 0
    assert found["stack"]["framework"] == "mindspore", "the default on Ascend"
    assert found["host"]["driver"] == {"version": "23.0.0"}
    assert found["wish"]["pins"] == []
    for choice in found["stack"]["choices"]:
        assert set(choice) == {"component", "title", "version", "kind", "origin", "level"}


def test_a_refusal(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, *NOTES)
    assert result.code == 1
    assert result.err == ""
    assert result.out.splitlines() == [
        "There is no stack of torch that fulfils this.",
        "",
        "torch_npu 2.1.0.post3 goes with CANN 8.0.RC1",
        "but you ask for CANN 7.0.0 (--pin cann=7.0.0)",
        "see https://gitee.com/ascend/pytorch/releases/tag/v6.0.rc1-pytorch2.1.0",
        "Ways out, each by itself enough:",
        "- Give up --pin torch_npu=2.1.0.post3: torch_npu 2.1.0",
        "- Give up --pin cann=7.0.0: CANN 8.0.RC1",
    ]


def test_two_refusals(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, *NOTES, "--pin", "privileges=privileged")
    assert result.code == 1
    assert "\n1. torch_npu 2.1.0.post3" in result.out
    assert "\n2. privileges privileged is reported bad" in result.out
    assert result.out.endswith("\nBoth have to be undone.\n")


def test_a_refusal_as_json(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, *NOTES, "--json")
    error = json.loads(result.out)["error"]
    assert (result.code, error["kind"]) == (1, "NoStack")
    (conflict,) = error["conflicts"]
    assert conflict["causes"] == [
        [
            "torch_npu 2.1.0.post3 goes with CANN 8.0.RC1",
            "but you ask for CANN 7.0.0 (--pin cann=7.0.0)",
        ]
    ]
    assert [c["instead"] for c in conflict["corrections"]] == [
        {"torch_npu": "2.1.0"},
        {"cann": "8.0.RC1"},
    ]
    assert error["hint"] == conflict["corrections"][0]["sentence"]


def test_explain(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, "-f", "torch", "--explain", "cann")
    assert result.code == 0
    assert result.out.startswith("CANN 7.0.0 (official)\n")
    assert "  with driver 23.0.0: official, https://www.hiascend.com/" in result.out
    assert "  not 8.2.RC1: possible, but derived" in result.out
    found = json.loads(paddock("resolve", *A910, "--explain", "cann", "--json").out)
    assert found["version"] == "7.0.0"


def test_explain_of_nothing_is_a_refusal(paddock: Paddock) -> None:
    result = paddock("resolve", *A910, *NOTES, "--explain", "cann")
    assert result.code == 1
    assert result.out.startswith("There is no stack of torch")


def test_lock_and_check(paddock: Paddock, tmp_path: Path) -> None:
    file = tmp_path / "paddock.lock"
    result = paddock("resolve", *A910, "--lock", str(file))
    assert (result.code, result.err) == (0, f"wrote {file}\n")
    assert 'component = "mindformers"' in file.read_text(encoding="utf-8")
    again = paddock("resolve", *A910, "--check", str(file))
    assert again.code == 0
    assert again.out.splitlines()[1].split() == ["MindFormers", "1.0.2", "pinned", "official"]
    elsewhere = paddock("resolve", "--chip", "310p", "--check", str(file))
    assert elsewhere.code == 1
    assert "310p" in elsewhere.out
    both = paddock("resolve", *A910, "--check", str(file), "--python", "3.9")
    assert both.code == 2
    assert "takes the wish from the lock" in both.err


def test_a_recorded_machine(paddock: Paddock) -> None:
    folder = TESTS / "hosts" / "910b4-x8-fresh"
    result = paddock(
        "resolve", "--facts", str(folder), "--arch", "aarch64", "-f", "torch", "--json"
    )
    found = json.loads(result.out)
    assert found["host"]["driver"] == {"version": "25.0.rc1.1", "origin": "npu-smi"}
    assert found["stack"]["chip"] == "910b"


def test_this_machine(paddock: Paddock) -> None:
    """Whatever it is: an answer or a refusal, no fault."""
    result = paddock("resolve", "-f", "torch", "--json")
    assert result.code in (0, 1)
    assert json.loads(result.out)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--chip", "910c"), "unknown chip '910c'; did you mean"),
        (("--chip", "910", "--arch", "arm"), "unknown architecture 'arm'"),
        (("--chip", "cpu", "--driver", "1"), "a CPU has no driver"),
        (("--driver", "24.1.0"), "--driver goes with --chip"),
        (("--chip", "910", "--host", "npu1"), "--host and --chip say different things"),
        ((*A910, "--framework", "mindspor"), "did you mean 'mindspore'"),
        ((*A910, "--explain", "vllm"), "the stack has no vllm"),
        ((*A910, "--pin", "cann"), "'cann' is not COMPONENT=VERSION"),
    ],
)
def test_bad_use(paddock: Paddock, args: tuple[str, ...], message: str) -> None:
    result = paddock("resolve", *args)
    assert result.code == 2
    assert result.out == ""
    assert message in result.err


def test_a_missing_lock(paddock: Paddock, tmp_path: Path) -> None:
    result = paddock("resolve", *A910, "--check", str(tmp_path / "none.lock"))
    assert result.code == 1
    assert "none.lock" in result.err


def test_catalog(paddock: Paddock) -> None:
    result = paddock("catalog")
    assert result.code == 0
    assert result.out == paddock("catalog", "list").out
    rows = {
        row["component"]: row for row in json.loads(paddock("catalog", "--json").out)["components"]
    }
    assert rows["torch_npu"]["releases"] == 71
    assert rows["cann"]["newest"] == "9.1.0"


def test_catalog_list(paddock: Paddock) -> None:
    lines = paddock("catalog", "list", "mindformers").out.splitlines()
    assert len(lines) == 1 + 16
    assert lines[1].split()[:3] == ["1.9.0", "official", "2026-08-22"]
    found = json.loads(paddock("catalog", "list", "cann", "--json").out)["releases"]
    seven = next(row for row in found if row["version"] == "7.0.0")
    assert seven["facts"]["inner"] == "V100R001C15SPC003B226"
    assert seven["url"].startswith("https://")


def test_catalog_show(paddock: Paddock) -> None:
    result = paddock("catalog", "show", "torch_npu", "2.1.0.post3")
    assert result.code == 0
    assert ["cann", "8.0.RC1", "derived"] in [line.split()[:3] for line in result.out.splitlines()]
    found = json.loads(paddock("catalog", "show", "cann", "8.0.0", "--json").out)
    others = {(p["with"], p["versions"]) for p in found["pairings"]}
    assert ("driver", "24.1.0") in others
    assert ("torch_npu", "2.4.0.post2") in others
    assert json.loads(paddock("catalog", "show", "cann", "--json").out)["version"] == "9.1.0"


def test_catalog_check(paddock: Paddock, tmp_path: Path) -> None:
    result = paddock("catalog", "check")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("0 faults in ")
    (tmp_path / "a.toml").write_text('[[component]]\nid = "a"\ntitle = "A"\nscheme = "name"\n')
    result = paddock("catalog", "check", str(tmp_path))
    assert (result.code, result.out) == (1, "a: has no release\n")
    found = json.loads(paddock("catalog", "check", str(tmp_path), "--json").out)
    assert found["faults"] == ["a: has no release"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("list", "can"), "no component 'can' in the catalogue; did you mean 'cann'"),
        (("show", "cann", "7.1.0"), "no cann 7.1.0 in the catalogue"),
        (("check", "/nowhere-at-all"), "there is no folder"),
        (("shwo",), "no such command: shwo; did you mean 'show'"),
    ],
)
def test_catalog_bad_use(paddock: Paddock, args: tuple[str, ...], message: str) -> None:
    result = paddock("catalog", *args)
    assert result.code == 2
    assert message in result.err
