"""The doctor on the simulated host with eight 910B4: what was put in is found, and nothing else."""

from __future__ import annotations

from test_simulated_ascend import npu1  # noqa: F401 - a fixture

import simhost
from paddock.deploy import doctor
from paddock.deploy.doctor import Subject, Wish, mend
from paddock.deploy.host import probe
from paddock.shell import Output


def test_what_was_put_in_is_found(npu1: simhost.SimulatedHost) -> None:  # noqa: F811
    report = doctor.diagnose(Subject(probe.read(npu1), wish=Wish(model="llama2-70b")))
    found = {f.rule.id: [e.fact for e in f.evidence] for f in report.findings}
    assert found.pop("memory-errors-uncorrected") == ["NPU 3: 1 double-bit errors of HBM"]
    assert found.pop("device-memory-above-chip") == ["max_device_memory: 58GB, the chip has 32 GiB"]
    assert found.pop("recomputes-everything") == ["use_past: False, seq_length: 4096"]
    assert found.pop("root-by-password") == ["PermitRootLogin yes"]
    assert "llama2_7b.ckpt.error" in found.pop("checkpoint-missing")[0]
    # The simulated driver has one library and busybox no locales.
    assert found.pop("driver-libraries-missing") == ["libascend_hal.so is nowhere on this machine"]
    found.pop("no-utf8", None)
    (several,) = found.pop("model-needs-several-chips")
    assert several.endswith("one device has 32.0 GiB, 8 of them hold it")
    assert not found


def test_the_safe_steps_change_nothing_that_was_there(
    npu1: simhost.SimulatedHost,  # noqa: F811
) -> None:
    report = doctor.diagnose(Subject(probe.read(npu1)))
    before = {p: p.stat().st_mtime_ns for p in npu1.root.rglob("*") if p.is_file()}
    ran: list[tuple[str, Output]] = [(s.fix.run, s.output) for s in mend.run_safe(report, npu1)]
    assert any(run.startswith("ls -l ") and output.ok for run, output in ran)
    after = {p: p.stat().st_mtime_ns for p in npu1.root.rglob("*") if p.is_file()}
    assert {p: after.get(p) for p in before} == before
