"""MindSpore's container against the protobuf library, which parses the published messages."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tiny_checkpoints import CONFIG, hf_folder, in_format, random_weights

from paddock.errors import CheckpointError, CorruptCheckpoint, TensorMismatch
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.formats.mindspore_writer import MindSporeWriter
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.verify import checked

FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def message() -> Any:
    """The Checkpoint message, built from its published definition at run time."""
    file = descriptor_pb2.FileDescriptorProto(name="paddock_test_ckpt.proto", syntax="proto2")
    file.package = "paddock_test"

    def add(parent: Any, name: str, number: int, label: int, kind: int, of: str = "") -> None:
        parent.field.add(name=name, number=number, label=label, type=kind, type_name=of or None)

    tensor = file.message_type.add(name="TensorProto")
    add(tensor, "dims", 1, FIELD.LABEL_REPEATED, FIELD.TYPE_INT64)
    add(tensor, "tensor_type", 2, FIELD.LABEL_REQUIRED, FIELD.TYPE_STRING)
    add(tensor, "tensor_content", 3, FIELD.LABEL_REQUIRED, FIELD.TYPE_BYTES)
    maps = file.message_type.add(name="MapTensorProto")
    add(maps, "tensor", 1, FIELD.LABEL_REPEATED, FIELD.TYPE_MESSAGE, ".paddock_test.TensorProto")
    checkpoint = file.message_type.add(name="Checkpoint")
    value = checkpoint.nested_type.add(name="Value")
    add(value, "tag", 1, FIELD.LABEL_REQUIRED, FIELD.TYPE_STRING)
    add(value, "tensor", 2, FIELD.LABEL_OPTIONAL, FIELD.TYPE_MESSAGE, ".paddock_test.TensorProto")
    add(
        value, "maptensor", 3, FIELD.LABEL_OPTIONAL, FIELD.TYPE_MESSAGE,
        ".paddock_test.MapTensorProto",
    )  # fmt: skip
    add(
        checkpoint, "value", 1, FIELD.LABEL_REPEATED, FIELD.TYPE_MESSAGE,
        ".paddock_test.Checkpoint.Value",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("paddock_test.Checkpoint"))


def values(message: Any, chunk: int, *, extra: dict[str, np.ndarray] | None = None) -> list[bytes]:
    """The random model as protobuf-made messages, contents cut into ``chunk`` bytes."""
    kinds = {"float16": "Float16", "float32": "Float32", "int64": "Int64"}
    table = {to_theirs("mindspore", name): array for name, array in random_weights().items()}
    parts = []
    for tag, array in (table | (extra or {})).items():
        content = array.tobytes()
        for at in range(0, max(1, len(content)), chunk):
            one = message()
            value = one.value.add(tag=tag)
            value.tensor.dims.extend(array.shape)
            value.tensor.tensor_type = kinds[str(array.dtype)]
            value.tensor.tensor_content = content[at : at + chunk]
            parts.append(one.SerializeToString())
    return parts


def opened(folder: Path, data: bytes) -> dict[str, np.ndarray]:
    folder.mkdir(exist_ok=True)
    (folder / "x.ckpt").write_bytes(data)
    checkpoint = open_checkpoint(folder / "x.ckpt", config=CONFIG)
    return {name: array.copy() for name, array in checked(checkpoint)}


def assert_random(read: dict[str, np.ndarray]) -> None:
    expected = random_weights()
    assert read.keys() == expected.keys()
    assert all(np.array_equal(read[name], expected[name]) for name in expected)


@pytest.mark.parametrize("chunk", [6, 100, 4096, 1 << 30])
def test_reads_what_protobuf_writes(tmp_path: Path, message: Any, chunk: int) -> None:
    assert_random(opened(tmp_path, b"".join(values(message, chunk))))


def test_reads_one_message_of_many_values(tmp_path: Path, message: Any) -> None:
    """Concatenated messages of a repeated field are one message, and the other way round."""
    whole = message()
    whole.ParseFromString(b"".join(values(message, 1 << 30)))
    assert_random(opened(tmp_path, whole.SerializeToString()))


@pytest.mark.parametrize("chunk", [1000, 512 << 20])
def test_protobuf_reads_what_is_written(tmp_path: Path, message: Any, chunk: int) -> None:
    writer = MindSporeWriter(tmp_path, CONFIG, "x", chunk=chunk)
    for name, array in random_weights().items():
        writer.write(name, array)
    writer.close()
    whole = message()
    whole.ParseFromString((tmp_path / "x.ckpt").read_bytes())
    contents: dict[str, bytes] = {}
    for value in whole.value:
        assert len(value.tensor.tensor_content) <= chunk
        contents[value.tag] = contents.get(value.tag, b"") + value.tensor.tensor_content
        assert value.tensor.tensor_type == "Float16"
    for name, array in random_weights().items():
        tag = to_theirs("mindspore", name)
        assert contents[tag] == array.tobytes()
        dims = next(value.tensor.dims for value in whole.value if value.tag == tag)
        assert tuple(dims) == array.shape


def test_checksum_is_checked_and_stripped(tmp_path: Path, message: Any) -> None:
    data = b"".join(values(message, 4096))
    good = data + b"crc_num" + zlib.crc32(data).to_bytes(10, "big")
    assert_random(opened(tmp_path, good))
    bad = bytearray(good)
    bad[len(data) // 2] ^= 1
    with pytest.raises(CorruptCheckpoint, match="checksum"):
        opened(tmp_path, bytes(bad))


def test_own_checksum_is_mindspores(tmp_path: Path) -> None:
    writer = MindSporeWriter(tmp_path, CONFIG, "x", crc=True)
    for name, array in random_weights().items():
        writer.write(name, array)
    writer.close()
    data = (tmp_path / "x.ckpt").read_bytes()
    assert data[-17:-10] == b"crc_num"
    assert int.from_bytes(data[-10:], "big") == zlib.crc32(data[:-17])
    assert_random({name: array.copy() for name, array in checked(open_checkpoint(tmp_path))})


@pytest.mark.parametrize("magic", [0x7F3A5ED8, 0x7F3A5ED9, 0x7F3A5EDA])
def test_encrypted_files_are_named_so(tmp_path: Path, magic: int) -> None:
    (tmp_path / "x.ckpt").write_bytes(magic.to_bytes(4, "little") + bytes(range(200)))
    with pytest.raises(CheckpointError, match=r"x\.ckpt is encrypted .*dec_key"):
        open_checkpoint(tmp_path)


def test_map_tensors_are_refused(tmp_path: Path, message: Any) -> None:
    one = message()
    one.value.add(tag="table").maptensor.tensor.add(tensor_type="Int64", tensor_content=b"")
    with pytest.raises(CheckpointError, match="'table' is a map of tensors"):
        opened(tmp_path, one.SerializeToString())


def test_training_leftovers_are_dropped(tmp_path: Path, message: Any) -> None:
    extra = {
        "adam_m.model.norm_out.weight": np.zeros(32, np.float32),
        "global_step": np.zeros((), np.int64),
        "model.freqs_mgr.freqs_cos": np.zeros((4, 8), np.float16),
    }
    assert_random(opened(tmp_path, b"".join(values(message, 1 << 20, extra=extra))))


def test_other_leftovers_are_not(tmp_path: Path, message: Any) -> None:
    extra = {"model.layers.0.lora_a": np.zeros((4, 8), np.float16)}
    with pytest.raises(TensorMismatch, match=r"x\.ckpt: tensor 'model\.layers\.0\.lora_a'"):
        opened(tmp_path, b"".join(values(message, 1 << 20, extra=extra)))


def test_a_tag_that_comes_back_is_a_second_tensor(tmp_path: Path, message: Any) -> None:
    parts = values(message, 1 << 20)
    with pytest.raises(TensorMismatch, match="is there twice"):
        opened(tmp_path, b"".join([*parts, parts[0]]))


def test_read_only_files_convert(tmp_path: Path) -> None:
    """MindSpore saves with mode 0400."""
    folder = in_format("mindspore", tmp_path)
    (folder / "mindspore.ckpt").chmod(0o400)
    assert convert(folder, tmp_path / "out", to="hf").is_dir()


def test_hugging_face_configuration_serves_too(tmp_path: Path) -> None:
    folder = in_format("mindspore", tmp_path)
    (folder / "mindspore.yaml").unlink()
    source = hf_folder(tmp_path / "source")
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    assert_random({name: array.copy() for name, array in checked(open_checkpoint(folder))})
