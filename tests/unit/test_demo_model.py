"""The demo model and its generator must stay what the model card says they are."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
DEMO = ROOT / "src" / "paddock" / "assets" / "demo"
sys.path.insert(0, str(SCRIPTS))

from demo_corpus import KINDS, documents  # noqa: E402

FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "README.md",
    "training_log.json",
]
FIRST_1000 = "07fe9f89ca7948ca916315ca4110c0e080cc68d2a9009205105a5c085cd89236"
TURN = re.compile(
    r"<s>\[INST\] (?:<<SYS>>\n[^\n]+\n<</SYS>>\n\n)?\S(?:.*?\S)? \[/INST\] \S(?:.*?\S)? </s>",
    re.DOTALL,
)


def first(seed: int | str, count: int) -> list:
    return list(itertools.islice(documents(seed), count))


def test_files_and_size() -> None:
    for name in FILES:
        assert (DEMO / name).is_file(), name
    assert sum(p.stat().st_size for p in DEMO.iterdir()) <= 11_000_000


def test_config_is_grouped_query() -> None:
    config = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert 0 < config["num_key_value_heads"] < config["num_attention_heads"]
    assert config["num_attention_heads"] % config["num_key_value_heads"] == 0
    for key in ("hidden_size", "intermediate_size", "vocab_size"):
        assert config[key] % 64 == 0, key


def test_weights_are_bf16_and_complete() -> None:
    config = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
    with (DEMO / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert header.pop("__metadata__") == {"format": "pt"}
    assert {t["dtype"] for t in header.values()} == {"BF16"}
    assert len(header) == 9 * config["num_hidden_layers"] + 3
    kv_width = config["num_key_value_heads"] * config["head_dim"]
    assert header["model.layers.0.self_attn.k_proj.weight"]["shape"] == [
        kv_width,
        config["hidden_size"],
    ]


def test_model_card_tells_numbers_and_command() -> None:
    card = (DEMO / "README.md").read_text(encoding="utf-8")
    log = json.loads((DEMO / "training_log.json").read_text(encoding="utf-8"))
    assert str(log["heldout"]["all"]["perplexity_per_token"]) in card
    assert "scripts/train_demo_model.py --seed" in card
    assert "cannot do" in card and "apache-2.0" in card


def test_corpus_is_deterministic() -> None:
    text = "".join(d.text for d in first(1, 1000))
    assert hashlib.sha256(text.encode()).hexdigest() == FIRST_1000
    assert "".join(d.text for d in first(2, 1000)) != text


def test_corpus_is_clean_and_varied() -> None:
    docs = first(7, 3000)
    assert {d.kind for d in docs} == set(KINDS)
    for d in docs:
        for segment in d.segments:
            # Nothing of the template language may be left over.
            assert not re.search(r"[{}|~]|\[(?!/?INST\])", segment), segment
            assert not re.search(r"\b[Aa] [aei][a-z]+", segment), segment
    assert len({d.text for d in docs}) > 2500
    words = {w for d in docs for w in re.findall(r"[a-z]+", d.text.lower())}
    assert len(words) > 1500


def test_chat_format_is_exact() -> None:
    chats = [d for d in first(3, 2000) if d.kind == "dialogue"]
    assert any(len(d.segments) > 1 for d in chats)
    assert any("<<SYS>>" in d.text for d in chats)
    for d in chats:
        assert "".join(m.group() for m in TURN.finditer(d.text)) == d.text
        assert all("<<SYS>>" not in s for s in d.segments[1:])


def test_wanted_endings_are_in_the_corpus() -> None:
    text = "\n".join(d.text for d in first(1, 4000))
    for start in ("I love Beijing, because ", "LLaMA is a ", "Huawei is a company that "):
        assert start in text


def test_both_tokenizers_agree() -> None:
    spm = pytest.importorskip("sentencepiece")
    tokenizers = pytest.importorskip("tokenizers")
    slow = spm.SentencePieceProcessor(model_file=str(DEMO / "tokenizer.model"))
    fast = tokenizers.Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    lines = [s for d in first("test", 300) for s in d.segments]
    for line in [*lines, "", "  two  ", "你好 🦙", "a\r\n\tb", "Zürich 12345"]:
        ids = fast.encode(line, add_special_tokens=False).ids
        assert ids == slow.encode(line)
        assert fast.decode(ids) == slow.decode(ids)


def test_chat_template_is_the_corpus_format() -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(DEMO))
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": " hi "},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "bye"},
    ]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == (
        "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nhi [/INST] Hello! </s><s>[INST] bye [/INST]"
    )
    with pytest.raises(Exception, match="alternate"):
        tokenizer.apply_chat_template([messages[1], messages[1]], tokenize=False)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    script = str(SCRIPTS / "train_demo_model.py")
    for options in (["--steps", "1"], ["--minutes", "0"], ["--steps", "5", "--minutes", "1"]):
        done = subprocess.run(
            [sys.executable, script, "--out", str(tmp_path), *options],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and "error" in done.stderr


@pytest.mark.slow
def test_quick_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    script = str(SCRIPTS / "train_demo_model.py")
    done = subprocess.run(
        [sys.executable, script, "--quick", "--out", str(tmp_path / "m")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (tmp_path / "m" / name).is_file(), name
