"""Names, folders and files: what each of the three finds where."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from autotiny import Tiny

from paddock import AutoConfig, AutoModel, AutoTokenizer, pipeline
from paddock.errors import ModelNotFound, UsageError

PROMPT = [1, 5, 9, 200]


@pytest.fixture
def downloads(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which MindFormers has put its downloads of llama2_7b."""
    folder = tmp_path / "work" / "checkpoint_download" / "llama2"
    folder.mkdir(parents=True)
    shutil.copy(tiny.yaml, folder / "llama2_7b.yaml")
    shutil.copy(tiny.ckpt, folder / "llama2_7b.ckpt")
    shutil.copy(tiny.tokenizer, folder)
    monkeypatch.chdir(tmp_path / "work")
    return folder


def test_mindformers_downloads_are_found_by_name(downloads: Path, tiny: Tiny) -> None:
    assert AutoTokenizer.from_pretrained("llama2_7b").vocab_size == 320
    config = AutoConfig.from_pretrained("llama2_7b", top_k=9)
    assert (config.num_layers, config.top_k, config.max_decode_length) == (2, 9, 40)
    expected = [*PROMPT, *tiny.greedy(PROMPT, 9)]
    for name in ("llama2_7b", "mindspore/llama2_7b"):
        model = AutoModel.from_pretrained(name, use_past=True, eos_token_id=319)
        assert model.config.use_past is True
        assert model.generate(PROMPT, max_new_tokens=9)[0].tolist() == expected
    config.checkpoint_name_or_path = "llama2_7b"
    config.eos_token_id = 319
    assert AutoModel.from_config(config).generate(PROMPT, max_new_tokens=9)[0].tolist() == expected


def test_the_download_folder_can_be_elsewhere(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound):
        AutoModel.from_pretrained("llama2_7b")
    monkeypatch.setenv("CHECKPOINT_DOWNLOAD_FOLDER", str(downloads.parent))
    assert AutoModel.from_pretrained("llama2_7b").config.num_layers == 2


def test_weights_that_lie_apart(downloads: Path) -> None:
    (downloads / "llama2_7b.ckpt").unlink()
    with pytest.raises(ModelNotFound, match=r"checkpoint_download/llama2/llama2_7b\.ckpt"):
        AutoModel.from_pretrained("llama2_7b")
    assert AutoModel.from_pretrained("llama2_7b", download_checkpoint=False).weights.missing()


def test_from_config_leaves_its_argument_alone(tiny: Tiny) -> None:
    config = AutoConfig.from_pretrained(str(tiny.yaml))
    model = AutoModel.from_config(config, use_past=True)
    assert (config.use_past, model.config.use_past) == (False, True)
    config.seq_length = 16
    assert model.config.seq_length == 128


def test_a_hugging_face_folder_describes_itself(tiny: Tiny) -> None:
    config = AutoConfig.from_pretrained(str(tiny.hf))
    assert (config.hidden_size, config.n_kv_heads, config.vocab_size) == (64, 2, 320)
    assert (config.do_sample, config.max_decode_length, config.seq_length) == (False, 512, 512)
    assert config.checkpoint_name_or_path == str(tiny.hf)


def test_several_files_are_not_guessed_among(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(tiny.ckpt, tmp_path / f"{name}.ckpt")
    shutil.copy(tiny.yaml, tmp_path / "a.yaml")
    with pytest.raises(UsageError, match=r"a\.ckpt, b\.ckpt"):
        AutoModel.from_pretrained(str(tmp_path))
    shutil.copy(tiny.yaml, tmp_path / "b.yaml")
    with pytest.raises(UsageError, match=r"a\.yaml, b\.yaml"):
        AutoConfig.from_pretrained(str(tmp_path))


def test_wrong_arguments(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from_config"):
        AutoModel.from_pretrained(str(tiny.hf), config={})
    with pytest.raises(UsageError, match="from_config"):
        AutoModel.from_pretrained(str(tiny.yaml))
    with pytest.raises(UsageError, match="did you mean 'use_past'"):
        AutoModel.from_pretrained(str(tiny.hf), use_pst=True)
    with pytest.raises(UsageError, match="name or path"):
        AutoTokenizer.from_pretrained()
    with pytest.raises(UsageError, match="from_pretrained"):
        AutoModel()
    with pytest.raises(ModelNotFound, match="did you mean 'llama2_7b'"):
        AutoConfig.from_pretrained("llama2_7")
    (tmp_path / "no.yaml").write_text("model: {}")
    with pytest.raises(UsageError, match=r"no\.yaml has no model\.model_config"):
        AutoConfig.from_pretrained(str(tmp_path / "no.yaml"))


def test_support_list(capsys: pytest.CaptureFixture[str]) -> None:
    AutoModel.show_support_list()
    assert "llama2: ['llama2_7b', 'llama2_13b', 'llama2_70b']" in capsys.readouterr().out
    assert AutoConfig.get_support_list()["demo"] == ["demo"]


def test_pipeline_of_a_name(downloads: Path, tiny: Tiny) -> None:
    task = pipeline("text_generation", model="llama2_7b", max_length=30)
    (result,) = task("I love Beijing, because", do_sample=False)
    assert list(result) == ["text_generation_text"]
    ids = task.tokenizer("I love Beijing, because").input_ids
    answer = tiny.greedy(ids, 30 - len(ids))
    answer = answer[: answer.index(2) + 1] if 2 in answer else answer
    assert result["text_generation_text"] == [
        task.tokenizer.decode([*ids, *answer], skip_special_tokens=True)
    ]


def test_pipeline_of_objects_gives_a_dictionary_per_batch(tiny: Tiny) -> None:
    model = AutoModel.from_pretrained(str(tiny.mindformers))
    tokenizer = AutoTokenizer.from_pretrained(str(tiny.hf))
    task = pipeline(task="text_generation", model=model, tokenizer=tokenizer)
    texts = ["I love Beijing, because", "LLaMA is a", "Huawei is a company that"]
    each = task(texts, max_length=40)
    assert [len(one["text_generation_text"]) for one in each] == [1, 1, 1]
    (together,) = task(texts, batch_size=3, max_length=40)
    assert together["text_generation_text"] == [one["text_generation_text"][0] for one in each]
    assert all(
        got.startswith(text)
        for got, text in zip(together["text_generation_text"], texts, strict=True)
    )
    assert task({"text": texts[1]}, max_length=40) == [each[1]]


def test_pipeline_errors(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="did you mean 'text_generation'"):
        pipeline("text_generator", model=str(tiny.hf))
    with pytest.raises(UsageError, match="needs a model"):
        pipeline("text_generation")
    with pytest.raises(UsageError, match="mslite"):
        pipeline("text_generation", model=str(tiny.hf), backend="mslite")
    with pytest.raises(UsageError, match="tokenizer="):
        pipeline("text_generation", model=AutoModel.from_pretrained(str(tiny.hf)))
    with pytest.raises(UsageError, match="did you mean 'max_length'"):
        pipeline("text_generation", model=str(tiny.hf), max_lenght=30)
    with pytest.raises(UsageError, match="did you mean 'top_k'"):
        pipeline("text_generation", model=str(tiny.hf))("x", topk=1)
