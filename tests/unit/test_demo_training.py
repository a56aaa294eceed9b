"""The lean training code must be the network that transformers runs, and be resumable."""

from __future__ import annotations

import itertools
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from demo_corpus import dialogues, documents, facts  # noqa: E402
from demo_training import evaluation, files, loop, muon, start, tokenizer  # noqa: E402
from demo_training.plan import QUICK, rate  # noqa: E402
from demo_training.rows import Rows  # noqa: E402

PLAN = replace(QUICK, heads=4, kv_heads=2, batch_tokens=256, part_tokens=128)


@pytest.fixture(scope="module")
def processor() -> Any:
    return tokenizer.train_tokenizer(list(itertools.islice(documents(1), 200)), PLAN.vocab_size)[0]


def test_network_equals_transformers(tmp_path: Path) -> None:
    network = start.fresh(PLAN, torch.float32)
    with torch.no_grad():
        for weight in network.parameters():
            # What bf16 can hold, so that the saved file has the same weights.
            weight.copy_((weight + 0.02 * torch.randn_like(weight)).bfloat16())
    files.save_weights(network, PLAN, tmp_path)
    tokens = torch.randint(3, PLAN.vocab_size, (2, 100))
    with torch.inference_mode():
        theirs = evaluation.reload(tmp_path)(input_ids=tokens).logits
        ours = network(tokens)
    assert torch.allclose(ours, theirs, atol=1e-4, rtol=1e-4)


def test_first_heads_look_back() -> None:
    """The heads that are set to look one and two tokens back must do so at any position."""
    plan = replace(PLAN, heads=2, kv_heads=1, hidden_size=128)
    network = start.fresh(plan, torch.float32)
    shares: list[Any] = []
    softmax = torch.Tensor.softmax
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(
            torch.Tensor, "softmax", lambda x, dim: shares.append(softmax(x, dim)) or shares[-1]
        )
        network(torch.randint(3, plan.vocab_size, (1, 60)))
    for head in (0, 1):
        assert shares[0][0, head].diagonal(-(head + 1))[2:].min() > 0.7


def test_muon_makes_orthogonal_steps() -> None:
    for shape in ((3, 8, 32), (3, 32, 8)):
        step = muon.orthogonal(torch.randn(shape), torch.float32)
        values = torch.linalg.svdvals(step)
        # The iteration aims at about one, not at exactly one.
        assert values.min() > 0.5 and values.max() < 1.5


def test_rows_hold_whole_documents(processor: Any) -> None:
    rows = Rows(5, processor).take(20, 256)
    for row in rows:
        assert len(row) == 256 and row[0] == 1
        text = row[: row.index(0)] if 0 in row else row
        assert text[-1] == 2 or len(text) == 256
    assert Rows(5, processor).take(20, 256) == rows


def test_interrupted_run_equals_whole_run(tmp_path: Path, processor: Any) -> None:
    plan = replace(PLAN, steps=6, flat=4)

    def run(plan: Any, state: Path | None) -> loop.Trainer:
        trainer = loop.Trainer(plan, processor)
        loop.train(trainer, lambda _: None, lambda *_: None, 2, state)
        return trainer

    whole = run(plan, None)
    state = tmp_path / "state.pt"
    # Its last state is that of step 4, up to which nothing depends on the number of steps.
    run(replace(plan, steps=5), state)
    again = run(plan, state)
    assert again.rows.documents == whole.rows.documents
    assert again.facts()["corpus_sha256"] == whole.facts()["corpus_sha256"]
    for a, b in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_state_of_another_plan_is_refused(tmp_path: Path, processor: Any) -> None:
    trainer = loop.Trainer(PLAN, processor)
    trainer.save(tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another plan"):
        loop.Trainer(replace(PLAN, seed=2), processor).restore(tmp_path / "state.pt")
    trainer.step = PLAN.flat + 1
    trainer.save(tmp_path / "state.pt")
    with pytest.raises(ValueError, match="cannot change"):
        loop.Trainer(replace(PLAN, steps=50), processor).restore(tmp_path / "state.pt")


def test_rate_rises_stays_and_falls() -> None:
    plan = replace(PLAN, steps=100, flat=70, warmup=10)
    rates = [rate(plan, step) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[9:70] == [1.0] * 61
    assert rates[70:] == sorted(rates[70:], reverse=True) and 0.02 <= rates[-1] < 0.05


def test_held_out_questions_are_not_in_training() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        _, turns = dialogues.chat(rng)
        assert not [question for question, _ in turns if facts.is_held_out(question)]
        assert not facts.is_held_out(facts.question(rng)[0])
        assert facts.is_held_out(facts.question(rng, held_out=True)[0])
    for spelling in ("{}", "please tell me: {}", "hey, {}"):
        question, _ = facts.question(rng, held_out=True)
        assert facts.is_held_out(spelling.format(question).rstrip(".?").lower())


def test_every_fact_is_practised_in_other_wordings() -> None:
    rng = random.Random(0)
    practised = {answer for _, answer in (facts.question(rng) for _ in range(40000))}
    asked = [facts.question(rng, held_out=True) for _ in range(300)]
    assert all(facts.is_held_out(question) for question, _ in asked)
    # A list is any choice of members, of which not every one occurs.
    single = [a for q, a in asked if not q.startswith(("Name", "List", "Give", "Tell me", "Can"))]
    assert len(single) > 150 and set(single) <= practised


def test_lists_may_name_other_members() -> None:
    assert facts.is_right("Apple and pear.", "Plum and banana.")
    assert not facts.is_right("Apple and pear.", "Plum and plum.")
    assert not facts.is_right("Apple and pear.", "Plum and carrot.")
    assert not facts.is_right("Apple and pear.", "Plum, pear and banana.")
    assert facts.is_right("A cow has four legs.", "A cow has four legs. ")
    assert not facts.is_right("A cow has four legs.", "A cow has two legs.")
