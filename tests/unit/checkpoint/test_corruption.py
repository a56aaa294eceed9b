"""Damaged files: one clear error that names file and tensor, whatever the damage."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import CONFIG, FORMATS, hf_folder, in_format, random_weights

from paddock import errors
from paddock.inference.checkpoint.inspect import inspect
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.verify import checked, checked_stored

CASES = json.loads((Path(__file__).parent / "data/corruptions.json").read_text())


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Whole checkpoints by name; copy before damaging."""
    base = tmp_path_factory.mktemp("whole")
    found = {format: in_format(format, base / format) for format in FORMATS}
    found["meta-2"] = in_format("meta", base / "meta-2", shards=2)
    for dtype in ("q8_0", "q4_0"):
        found[f"gguf-{dtype}"] = in_format("gguf", base / dtype, dtype=dtype)
    found["paddock"] = quantize_files(found["hf"], base / "paddock", bits=4)
    tied = replace(CONFIG, tie_embeddings=True)
    found["hf-tied"] = hf_folder(base / "tied", tied, random_weights(tied))
    return found


def copy_of(original: Path, folder: Path) -> Path:
    if original.is_file():
        shutil.copy(original, folder)
        return folder / original.name
    return Path(shutil.copytree(original, folder / original.name))


def damage(path: Path, case: dict[str, Any]) -> None:  # one branch per kind of damage
    data = bytearray(path.read_bytes())
    match case["do"]:
        case "truncate":
            to = case["to"]
            data = data[: int(len(data) * to) if isinstance(to, float) else to]
        case "append":
            data += bytes.fromhex(case["hex"])
        case "write":
            new = bytes.fromhex(case["hex"])
            data[case["at"] : case["at"] + len(new)] = new
        case "replace":
            old, new = case["old"].encode(), case["new"].encode()
            assert len(old) == len(new) and old in data
            data = data.replace(old, new)
        case "delete":
            path.unlink()
            return
        case "set":
            values = json.loads(data)
            values[case["key"]] = case["value"]
            data = bytearray(json.dumps(values).encode())
        case "nan":
            begin = json.loads(data[8 : 8 + data[0] + 256 * data[1]])[case["tensor"]]
            at = 8 + data[0] + 256 * data[1] + begin["data_offsets"][0] + 2 * 3
            data[at : at + 2] = b"\x00\x7e"
        case "nan scale":
            import gguf

            tensor = next(
                one for one in gguf.GGUFReader(path).tensors if one.name == case["tensor"]
            )
            at = int(tensor.data_offset) + 2 * (34 if "Q8" in case["id"] else 18)
            data[at : at + 2] = b"\x00\x7e"
    path.write_bytes(data)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_one_clear_error(originals: dict[str, Path], tmp_path: Path, case: dict[str, Any]) -> None:
    path = copy_of(originals[case["format"]], tmp_path)
    damage(path / case["file"] if path.is_dir() else path, case)
    with pytest.raises(errors.CheckpointError) as caught:
        for _ in checked(open_checkpoint(path)):
            pass
    assert type(caught.value).__name__ == case["error"], caught.value
    for part in case["says"]:
        assert part in str(caught.value)


def test_the_originals_are_whole(originals: dict[str, Path]) -> None:
    for path in originals.values():
        assert {name for name, _ in checked(open_checkpoint(path))} <= CONFIG.shapes().keys()


@pytest.mark.parametrize("format", [*FORMATS, "meta-2", "gguf-q8_0", "paddock"])
def test_truncated_anywhere(originals: dict[str, Path], tmp_path: Path, format: str) -> None:
    path = copy_of(originals[format], tmp_path)
    file = path if path.is_file() else max(path.iterdir(), key=lambda one: one.stat().st_size)
    size = file.stat().st_size
    for at in sorted({*range(0, size, max(1, size // 37)), size - 1, size - 2}, reverse=True):
        os.truncate(file, at)
        if format.startswith("gguf") and size - at < 32:
            continue  # only padding behind the last tensor is gone
        with pytest.raises(errors.CheckpointError, match=file.name):
            for _ in checked(open_checkpoint(path)):
                pass


# A flipped byte inside a weight is a weight like any other; everything else must be found.
@pytest.mark.parametrize("format", [*FORMATS, "gguf-q8_0", "paddock"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_damage(
    originals: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    format: str,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = copy_of(originals[format], folder)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    # Most of a file is weights; look at its head and tail as often as at the rest.
    places = st.one_of(
        st.integers(0, min(2500, len(content) - 1)),
        st.integers(0, len(content) - 1),
        st.integers(max(0, len(content) - 2500), len(content) - 1),
    )
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[at] = byte
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    file.write_bytes(content)
    try:
        read = {name: array.shape for name, array in checked(open_checkpoint(path))}
        assert read == {
            name: weight.shape for name, weight in checked_stored(open_checkpoint(path))
        }
    except errors.PaddockError as error:
        assert str(error)
    else:
        assert read == open_checkpoint(path).config().shapes()
    try:
        inspect(path).to_dict()
    except errors.PaddockError as error:
        assert str(error)
    shutil.rmtree(folder)
