"""--explain: what speaks for a version, and what against each that would have been better."""

from __future__ import annotations

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView, VersionFile, Why, make, why
from paddock.errors import NoStack, UsageError

A910 = HostView(
    accelerator="ascend", chip="910", arch="aarch64", driver=VersionFile("23.0.0")
)  # fmt: skip
B910 = HostView(
    accelerator="ascend", chip="910b", arch="aarch64", driver=VersionFile("24.1.0")
)  # fmt: skip


def asked(view: HostView, framework: str, component: str, **wish: object) -> Why:
    return why(load(), view, make(load(), framework, **wish), component)  # type: ignore[arg-type]


def test_evidence_names_its_source() -> None:
    answer = asked(A910, "mindspore", "cann")
    assert (answer.version, answer.level) == ("7.0.0", "official")
    driver = next(e for e in answer.evidence if e.object == "driver")
    assert driver.url.startswith("https://www.hiascend.com/")
    assert all("cann" in (e.subject, e.object) for e in answer.evidence)


def test_every_better_version_has_its_reason() -> None:
    answer = asked(A910, "mindspore", "cann")
    reasons = {rejected.version: rejected.reason for rejected in answer.rejected}
    known = load().newest_first("cann")
    assert list(reasons) == list(known[: known.index("7.0.0")])
    assert "for CANN 8.5.0 there is MindFormers 1.8.0" in reasons["8.5.0"]
    assert "chip 910" in reasons["8.5.0"]
    answer = asked(B910, "torch", "cann")
    reasons = {rejected.version: rejected.reason for rejected in answer.rejected}
    assert "CANN 8.5.0 with driver 24.1.0 is reported bad" in reasons["8.5.0"]


def test_the_chip_is_the_reason() -> None:
    answer = asked(A910, "mindspore", "mindformers")
    assert answer.version == "1.0.2"
    assert {r.reason for r in answer.rejected if r.version == "1.3.2"} == {
        "MindFormers 1.3.2 goes with chip 910b; but this host has the chip 910"
    }


def test_official_before_newer() -> None:
    answer = asked(A910, "torch", "torch_npu")
    reasons = {rejected.version: rejected.reason for rejected in answer.rejected}
    assert (
        reasons["2.6.0"] == "possible, but derived: its stack rests on pairs that are not official"
    )


def test_a_more_important_component_decides() -> None:
    """CANN 8.5.0 goes with a torch_npu for torch 2.6 too, but the newest torch_npu decides."""
    answer = asked(B910.with_(driver=None), "torch", "torch")
    assert answer.version == "2.12.0"
    answer = asked(B910.with_(driver=None), "torch", "python", pins=("cann=8.5.0",))
    assert answer.version == "3.13"
    answer = asked(B910.with_(driver=None), "torch", "cann", pins=("torch_npu=2.9.0",))
    reasons = {rejected.version: rejected.reason for rejected in answer.rejected}
    assert answer.version == "8.5.0"
    assert reasons["8.5.1"].startswith("possible, but derived")


def test_left_open() -> None:
    answer = asked(B910.with_(driver=None), "torch", "driver", pins=("cann=9.1.0",))
    assert (answer.version, answer.rejected) == (None, ())


def test_what_cannot_be_explained() -> None:
    with pytest.raises(UsageError, match="has no vllm"):
        asked(A910, "torch", "vllm")
    with pytest.raises(NoStack, match="no stack to explain"):
        asked(A910, "vllm", "cann")
