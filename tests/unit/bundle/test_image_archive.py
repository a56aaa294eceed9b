"""An image's archive says by which ids engines will know it, in each form that engines write."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.bundle import images
from paddock.deploy.container import Archive, Image
from paddock.deploy.step import Machine
from paddock.errors import BundleError, StepFailed
from paddock.shell import LocalRunner

LAYERS = ["a" * 64, "b" * 64]


def archive(path: Path, files: dict[str, Any]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, value in files.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def config(**values: Any) -> tuple[str, bytes]:
    """An image's configuration and its SHA-256."""
    diff_ids = [f"sha256:{layer}" for layer in LAYERS]
    data = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}, **values}).encode()
    return hashlib.sha256(data).hexdigest(), data


def classic(path: Path) -> tuple[Path, str]:
    """As docker up to 24 and podman write it."""
    name, data = config()
    rows = [{"Config": f"{name}.json", "RepoTags": ["base:1"], "Layers": ["x/layer.tar"]}]
    return archive(path, {f"{name}.json": data, "manifest.json": rows}), name


def test_the_form_of_old(tmp_path: Path) -> None:
    path, name = classic(tmp_path / "image.tar")
    assert images.identity(path) == ((name,), tuple(LAYERS))


def test_the_form_with_an_index(tmp_path: Path) -> None:
    """As docker from 25 on writes it, whatever it stores images in."""
    name, data = config(os="linux")
    rows = [{"Config": f"blobs/sha256/{name}", "RepoTags": ["base:1"], "Layers": []}]
    index = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{'c' * 64}"}]}
    files = {f"blobs/sha256/{name}": data, "index.json": index, "manifest.json": rows}
    path = archive(tmp_path / "image.tar", files)
    assert images.identity(path) == ((name, "c" * 64), tuple(LAYERS))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"etc/passwd": b""}, "no archive of an image"),
        ({"manifest.json": [{}, {}]}, "holds 2 images instead of one"),
        ({"manifest.json": [{"Config": "gone.json"}]}, "no archive of an image"),
        ({"manifest.json": b"{"}, "no archive of an image"),
    ],
)
def test_what_is_no_image(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        images.identity(archive(tmp_path / "image.tar", files))


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"half of a download")
    with pytest.raises(BundleError, match="no archive of an image"):
        images.identity(tmp_path / "image.tar")


def test_which_image_an_engine_has() -> None:
    known = Archive("/i.tar", "5" * 64, 9, ("1" * 64, "2" * 64), tuple(LAYERS))
    assert known.holds(Image(f"sha256:{'1' * 64}"), None)
    assert known.holds(Image("2" * 64), None), "podman's ids are bare"
    other = Image(f"sha256:{'3' * 64}", layers=tuple(f"sha256:{each}" for each in LAYERS))
    assert not known.holds(other, None)
    # containerd's store makes an id of its own of what has no manifest: known once it was made.
    assert known.same_layers(other)
    assert known.holds(other, known.stamp(other))
    newer = Archive("/i.tar", "6" * 64, 9, ("4" * 64,), tuple(LAYERS))
    assert not newer.holds(other, known.stamp(other)), "an older archive's stamp proves nothing"
    assert known.holds(Image("base"), None), "isula tells no id"
    assert Archive("/i.tar").holds(other, None), "of an archive by its name alone nothing is known"


def test_an_archive_is_sent_for_as_long_as_it_is_loaded(tmp_path: Path) -> None:
    path, name = classic(tmp_path / "image.tar")
    data = path.read_bytes()
    there = tmp_path / "host" / "images" / "base-1.tar"
    machine = Machine(LocalRunner(), str(tmp_path / "host"))
    digest = hashlib.sha256(data).hexdigest()
    made = Archive(str(there), digest, len(data), (name,), (), str(path))
    with made.brought(machine, "container.image", print) as file:
        assert Path(file).read_bytes() == data
    assert not there.parent.exists()
    with pytest.raises(RuntimeError), made.brought(machine, "container.image", print) as file:
        raise RuntimeError("the engine is gone")
    assert Path(file).exists(), "the next try goes on with it"
    made.forget(machine)
    assert not there.parent.exists()
    there.parent.mkdir(parents=True)
    there.write_bytes(data)  # a copy that somebody put there
    with made.brought(machine, "container.image", print) as file:
        assert file == str(there)
    made.forget(machine)
    assert there.exists()


def test_no_room_for_an_archive(tmp_path: Path) -> None:
    machine = Machine(LocalRunner(), str(tmp_path))
    huge = Archive(str(tmp_path / "i.tar"), "0" * 64, 10**13, source=str(tmp_path / "gone"))
    with (
        pytest.raises(StepFailed, match="no space left on device") as caught,
        huge.brought(machine, "container.image", print),
    ):
        raise AssertionError("it was not refused")
    assert "--to" in str(caught.value.hint)
