from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from paddock import MindFormerConfig
from paddock.errors import ModelNotFound, UsageError


@pytest.fixture
def config(tmp_path: Path) -> MindFormerConfig:
    (tmp_path / "base.yaml").write_text(
        "seed: 0\nmodel:\n  arch: {type: A}\n  size: 1\nuse: True\n"
    )
    (tmp_path / "top.yaml").write_text(
        "base_config: base.yaml\n"
        "data: &data {batch: 4, eps: 1.e-8}\n"
        "task: {dataset: *data}\n"
        "model: {size: 2}\n"
        "callbacks:\n  - type: X\n"
    )
    return MindFormerConfig(str(tmp_path / "top.yaml"))


def test_nested_by_attribute_and_item(config: MindFormerConfig) -> None:
    assert config.model.arch.type == config["model"]["arch"]["type"] == "A"
    assert config.task.dataset.eps == 1e-8
    assert config.callbacks[0]["type"] == "X"


def test_base_config_is_refined(config: MindFormerConfig) -> None:
    assert (config.seed, config.model.size, config.use) == (0, 2, True)
    assert "base_config" not in config


def test_missing_attribute_is_none_and_missing_item_an_error(config: MindFormerConfig) -> None:
    assert config.parallel is None
    assert not hasattr(config, "__array__")
    with pytest.raises(KeyError):
        config["parallel"]
    with pytest.raises(AttributeError):
        del config.parallel


def test_it_can_be_changed(config: MindFormerConfig) -> None:
    config.model.size = 3
    config.extra = {"a": {"b": 1}}
    assert config.extra.a.b == 1
    config.merge_from_dict({"model.arch.type": "B", "new.key": 5})
    assert (config.model.arch.type, config.model.size, config.new.key) == ("B", 3, 5)
    twin = copy.deepcopy(config)
    twin.model.size = 9
    assert config.model.size == 3
    assert dict(**config.model)["size"] == 3


def test_it_prints_as_yaml(config: MindFormerConfig) -> None:
    assert yaml.safe_load(str(config)) == config.to_dict() == config
    assert "model:\n" in str(config)


def test_keywords_and_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\nb: 1\n")
    (tmp_path / "b.yaml").write_text("b: 2\n")
    config = MindFormerConfig(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), c={"d": 3})
    assert (config.a, config.b, config.c.d) == (1, 2, 3)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no\.yaml"):
        MindFormerConfig(str(tmp_path / "no.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        MindFormerConfig(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UsageError, match="list"):
        MindFormerConfig(str(tmp_path / "list.yaml"))
    (tmp_path / "tag.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(UsageError, match="tag"):
        MindFormerConfig(str(tmp_path / "tag.yaml"))
    (tmp_path / "loop.yaml").write_text("base_config: loop.yaml")
    with pytest.raises(UsageError, match="its own base_config"):
        MindFormerConfig(str(tmp_path / "loop.yaml"))
