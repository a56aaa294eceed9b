"""A bundle is fetched once, goes on where it was broken off, and names what was damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.deploy import bundle
from paddock.deploy.bundle import MANIFEST, Contents, Wheels
from paddock.deploy.bundle.contents import platforms
from paddock.errors import BundleError, StepFailed


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: t\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contents:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    artifacts = tmp_path / "artifacts"
    wheel(artifacts / "wheels", "framework", "2.1.0", "cp39-cp39-manylinux_2_17_aarch64")
    wheel(artifacts / "wheels", "framework", "2.1.0", "cp311-cp311-manylinux_2_17_x86_64")
    wheel(artifacts / "wheels", "vendor", "1.0", "cp39-cp39-linux_aarch64")
    (artifacts / "toolkit.run").write_bytes(b"installer" * 1000)
    weights = tmp_path / "weights"
    (weights / "sub").mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"w" * 5000)
    (weights / "sub" / "config.json").write_text("{}")
    return Contents(
        name="notes",
        arch="aarch64",
        python="3.9",
        glibc="2.31",
        wheels=(Wheels(("framework==2.1.0", "vendor")),),
        installers=(("toolkit.run", ""),),
        weights=weights,
        model="llama2-7b",
        artifacts=artifacts,
    )


def test_it_holds_what_the_target_needs_and_not_what_this_machine_would(
    wish: Contents, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    said: list[str] = []
    made = bundle.create(folder, wish, log=said.append)
    assert [entry.path for entry in made.entries] == [
        "wheels/framework-2.1.0-cp39-cp39-manylinux_2_17_aarch64.whl",
        "wheels/vendor-1.0-cp39-cp39-linux_aarch64.whl",
        "run/toolkit.run",
        "models/llama2-7b/model.safetensors",
        "models/llama2-7b/sub/config.json",
    ]
    assert bundle.read(folder) == made
    assert bundle.verify(folder) == ()
    assert not (folder / ".work").exists()
    run = next(entry for entry in made.entries if entry.kind == "run")
    assert run.bytes == 9000
    assert run.sha256 == hashlib.sha256(b"installer" * 1000).hexdigest()
    if shutil.which("sha256sum"):  # other people's tools read it too
        done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
        assert done.returncode == 0


def test_every_damage_is_named(wish: Contents, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    bundle.create(folder, wish, log=lambda _: None)
    (folder / "run/toolkit.run").write_bytes(b"Installer" + b"installer" * 999)
    with (folder / "models/llama2-7b/model.safetensors").open("ab") as stream:
        stream.write(b"x")
    (folder / "models/llama2-7b/sub/config.json").unlink()
    (folder / "run/foreign.run").write_text("")
    faults = {fault.path: fault.what for fault in bundle.verify(folder)}
    assert faults == {
        "run/toolkit.run": "has another SHA-256: its content was changed",
        "models/llama2-7b/model.safetensors": "has 5001 bytes instead of 5000",
        "models/llama2-7b/sub/config.json": "is missing",
        "run/foreign.run": "is not in the manifest",
    }


def test_what_was_broken_off_is_no_bundle_and_goes_on(wish: Contents, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    missing = replace(wish, installers=(*wish.installers, ("kernels.run", "")))
    with pytest.raises(BundleError, match=r"nobody knows where kernels\.run is"):
        bundle.create(folder, missing, log=lambda _: None)
    with pytest.raises(BundleError, match="not a whole bundle"):
        bundle.verify(folder)
    there = folder / "run/toolkit.run"
    before = there.stat().st_mtime_ns
    (folder / "run/kernels.run.part").write_text("half")
    assert wish.artifacts is not None
    (wish.artifacts / "kernels.run").write_text("whole")
    made = bundle.create(folder, missing, log=lambda _: None)
    assert there.stat().st_mtime_ns == before  # not fetched again
    assert "run/kernels.run" in [entry.path for entry in made.entries]
    assert not any(entry.path.endswith(".part") for entry in made.entries)


def test_a_wheel_that_is_not_to_be_had_is_said(wish: Contents, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        bundle.create(
            tmp_path / "bundle", replace(wish, wheels=(Wheels(("nothing==1",)),)), log=print
        )
    assert "No matching distribution found for nothing==1" in caught.value.log


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 9}, "schema 9"),
        ({"entries": [{"path": "../x", "bytes": 0, "sha256": ""}]}, "outside the bundle"),
        ({"entries": 3}, "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_trusted(
    wish: Contents, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "bundle"
    bundle.create(folder, wish, log=lambda _: None)
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document | change))
    with pytest.raises(BundleError, match=said):
        bundle.read(folder)


def test_packages_of_another_release_are_refused(wish: Contents, tmp_path: Path) -> None:
    foreign = replace(wish, wheels=(), packages=("gcc",), system="ubuntu:focal")
    with pytest.raises(BundleError, match="apt knows one release at a time"):
        bundle.create(tmp_path / "bundle", foreign, log=lambda _: None)


def test_the_tags_of_platforms() -> None:
    assert list(platforms("aarch64", "2.19")) == [
        "manylinux_2_19_aarch64",
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]
    x86 = list(platforms("x86_64", None))
    assert x86[0] == "manylinux_2_28_x86_64"
    assert "manylinux1_x86_64" in x86 and "manylinux_2_5_x86_64" in x86
