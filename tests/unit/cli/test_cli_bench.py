"""The commands of ``paddock bench`` and ``paddock profile`` on the built-in model, in seconds."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from paddock.bench import ceilings, load, result

SHORT = ("--repeats", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def _small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading half a gigabyte again and again is for measurements."""
    monkeypatch.setattr(ceilings, "_LEAST_BYTES", 8 << 20)
    monkeypatch.setattr(ceilings, "last_level_cache", lambda: None)


@pytest.mark.parametrize("quant", [(), ("--quant", "int4")])
def test_decode(paddock: Callable[..., Any], tmp_path: Path, quant: tuple[str, ...]) -> None:
    out, picture = tmp_path / "r.json", tmp_path / "r.svg"
    found = paddock(
        "bench", "decode", "--context", "8", "--new-tokens", "6", *SHORT, *quant, "--json",
        "--out", str(out), "--plot", str(picture),
    )  # fmt: skip
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told == json.loads(out.read_text()) == result.read(out).to_dict()
    (run,) = told["runs"]
    assert run["workload"]["prompt_tokens"] == 8
    assert run["storage"]["weights"] == (quant[1] if quant else "bf16")
    assert len(run["figures"]["decode"]["share"]["samples"]) == 2
    assert told["ceilings"]["threads"] == 1
    ElementTree.fromstring(picture.read_text())


def test_two_ranks_say_so(paddock: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    found = paddock(
        "bench", "decode", "--tp", "2", "--context", "8", "--new-tokens", "4", *SHORT,
        "--device", "cpu", "--dtype", "fp32", "--out", str(out),
    )  # fmt: skip
    assert found.code == 0, found.err
    assert "tp 2, pp 1" in found.out
    (run,) = result.read(out).runs
    assert (run.options["tp"], run.options["pp"]) == (2, 1)
    assert [rank["device"] for rank in run.options["ranks"]] == ["cpu", "cpu"]
    assert run.storage is not None and run.storage["weights"] == "fp32"
    assert run.figures["decode"].share is not None


def test_busy_and_batch_are_compared_with_one_alone(paddock: Callable[..., Any]) -> None:
    work = ("--context", "4", "--new-tokens", "4", *SHORT, "--json")
    busy = json.loads(paddock("bench", "decode", "--busy", "1", *work).out)
    batch = json.loads(paddock("bench", "batch", "--batch", "2", *work).out)
    assert [ratio["ours"] for ratio in busy["ratios"]] == ["paddock, 1 competing"] * 2
    assert [ratio["theirs"] for ratio in batch["ratios"]] == ["paddock, 1 sequence"] * 2
    assert [run["workload"]["batch"] for run in batch["runs"]] == [1, 2]


def test_prefill_shows_tables(paddock: Callable[..., Any]) -> None:
    found = paddock("bench", "prefill", "--prompt-tokens", "16", *SHORT)
    assert found.code == 0, found.err
    assert "prompt_tokens 16, new_tokens 1, batch 1, repeats 2, seed 0, busy 0" in found.out
    assert "decode  " not in found.out


def test_peers_compare_and_show(paddock: Callable[..., Any], tmp_path: Path) -> None:
    work = ("--prompt-tokens", "8", "--new-tokens", "4", *SHORT)
    for name in ("a", "b"):
        found = paddock(
            "bench", "peers", *work, "--only", "onnxruntime-genai", "--out",
            str(tmp_path / f"{name}.json"),
        )  # fmt: skip
        assert found.code == 0, found.err
        assert "onnxruntime-genai  absent" in found.out
    found = paddock("bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert found.code == 0 and "decode" in found.out and "B/A" in found.out
    found = paddock("bench", "show", str(tmp_path / "a.json"), "--markdown")
    assert "| paddock | decode | tokens/s |" in found.out


def test_roofline(paddock: Callable[..., Any], tmp_path: Path) -> None:
    picture = tmp_path / "r.svg"
    found = paddock("bench", "roofline", *SHORT, "--json", "--plot", str(picture))
    told = json.loads(found.out)
    assert told["kind"] == "roofline"
    assert told["ceilings"]["bytes_per_s"]["median"] > 0
    ElementTree.fromstring(picture.read_text())


def test_load(paddock: Callable[..., Any]) -> None:
    found = paddock("bench", "load", "--repeats", "1", "--threads", "1", "--json")
    assert found.code == 0, found.out
    figures = json.loads(found.out)["runs"][0]["figures"]
    first, whole = (figures[name]["values"]["median"] for name in ("first_token", "process"))
    assert 0 < first <= whole
    assert figures["page_cache"]["values"]["median"] == 1.0
    assert figures["peak_rss"]["values"]["median"] > 20e6


def test_the_page_cache_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (1 << 20))
    load.read_through(file)
    assert load.resident_share([file]) == 1.0
    (tmp_path / "empty").touch()
    assert load.resident_share([tmp_path / "empty"]) == 0.0
    # Dropping is up to the file system (tmpfs keeps all): cold is refused where it does not work.
    load._drop(file)
    assert 0.0 <= load.resident_share([file]) <= 1.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("decode", "--new-tokens", "1"), "decoding begins after the first token"),
        (("decode", "--context", "100000"), "more than the model's context"),
        (("batch", "--batch", "1"), "a batch of 1"),
        (("peers", "--only", "transformer"), "did you mean 'transformers'"),
        (("peers", "--peer-model", "x"), "NAME=PATH"),
        (("peers", "--gguf", "/nonexistent.gguf"), "nonexistent"),
        (("decode", "no-such-model"), "no model"),
        (("compare", "/nonexistent.json", "/nonexistent.json"), "cannot read"),
        (("deode",), "did you mean 'decode'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    paddock: Callable[..., Any], args: tuple[str, ...], message: str
) -> None:
    found = paddock("bench", *args)
    assert found.code in (1, 2)
    assert message in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
@pytest.mark.parametrize("runtime", ["native", "torch"])
def test_profile(paddock: Callable[..., Any], tmp_path: Path, runtime: str, name: str) -> None:
    out = tmp_path / name
    found = paddock(
        "profile", "I love", "-n", "3", "--runtime", runtime, "--threads", "1", "--out", str(out)
    )
    assert found.code == 0, found.err
    opener: Any = gzip.open if name.endswith(".gz") else open
    with opener(out, "rt") as file:
        events = json.load(file)["traceEvents"]
    spans = [event for event in events if event.get("ph") == "X"]
    counts = {n: sum(e["name"] == n for e in spans) for n in ("prefill", "decode", "generate")}
    assert counts["prefill"] >= 1 and counts["decode"] >= 2 and counts["generate"] >= 1
    assert all(event["dur"] >= 0 for event in spans)
    if runtime == "torch":
        assert any(event["name"].startswith("aten::") for event in spans)
    else:
        whole = next(e for e in spans if e["name"] == "generate")
        steps = [e for e in spans if e["name"] in ("prefill", "decode")]
        assert all(
            whole["ts"] <= e["ts"] and e["ts"] + e["dur"] <= whole["ts"] + whole["dur"]
            for e in steps
        )
        assert steps[0]["args"]["positions"] == [0]


def test_a_trace_needs_a_name_and_a_folder(paddock: Callable[..., Any], tmp_path: Path) -> None:
    assert "name it .json" in paddock("profile", "x", "--out", str(tmp_path / "t.txt")).err
    missing = str(tmp_path / "no" / "t.json")
    assert "no folder" in paddock("profile", "x", "-n", "1", "--out", missing).err
