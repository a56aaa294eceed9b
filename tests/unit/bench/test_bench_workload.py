"""A workload is the same on every machine, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.bench.workload import Workload
from paddock.errors import UsageError


def test_the_same_fields_give_the_same_ids() -> None:
    one = Workload(4096, prompt_tokens=6, batch=2, seed=7)
    # Recorded once: a result must be repeatable with later versions.
    assert one.prompts() == [[1, 3583, 1318, 832, 1332, 2472], [1, 1776, 473, 702, 2138, 2221]]
    assert Workload(**one.to_dict()).prompts() == one.prompts()


def test_a_longer_prompt_begins_like_a_shorter_one() -> None:
    short, long = (Workload(300, prompt_tokens=n).prompts()[0] for n in (5, 50))
    assert long[:5] == short


def test_seeds_and_sequences_differ() -> None:
    prompts = [
        tuple(prompt)
        for seed in range(3)
        for prompt in Workload(4096, batch=4, seed=seed).prompts()
    ]
    assert len(set(prompts)) == len(prompts)


def test_ids_are_even_over_the_words() -> None:
    ids = Workload(13, prompt_tokens=5001, low=3).prompts()[0][1:]
    counts = [ids.count(i) for i in range(13)]
    assert counts[:3] == [0, 0, 0]
    assert min(counts[3:]) > 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": 0},
        {"new_tokens": 0},
        {"batch": 0},
        {"repeats": 0},
        {"busy": -1},
        {"seed": -1},
        {"low": 100},
        {"bos_id": 100},
    ],
)
def test_no_such_workload(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Workload(**({"vocab_size": 100} | wrong))
