"""Records what MindFormers 1.0.0 itself answers, for tests that compare.

Runs in a virtual environment of its own (Python 3.9 or 3.11):
    pip install mindspore==2.7.0 mindformers==1.0.0
    python record_mindformers.py FOLDER OUT.json
FOLDER holds one .yaml, one .ckpt and tokenizer.model. Two things that MindSpore 2.7 no longer has
or has for Ascend only are put back: Cell.cast, and the small kernels in the place of the big ones.
"""

import json
import sys
from pathlib import Path

import mindspore as ms
import numpy as np

ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
ms.nn.Cell.cast = ms.ops.operations.Cast()

from mindformers import AutoConfig, AutoModel, LlamaTokenizer, pipeline, version_control  # noqa: E402
from mindformers.models.llama import llama_layer  # noqa: E402

version_control.check_valid_big_kernel = llama_layer.check_valid_big_kernel = lambda: False

TEXTS = [
    "I love Beijing, because",
    "LLaMA is a",
    "Huawei is a company that",
    "",
    " ",
    "  two spaces and\ttab\nline",
    "中文 and 🙂",
]
CALLS = [
    {},
    {"add_special_tokens": False},
    {"max_length": 5},
    {"max_length": 5, "truncation": True},
    {"max_length": 5, "truncation": False},
    {"max_length": 20, "padding": "max_length"},
    {"max_length": 5, "padding": "max_length"},
    {"max_length": 5, "padding": "max_length", "truncation": True},
    {"padding": True},
    {"padding": "longest", "truncation": True, "max_length": 6},
    {"max_length": 1},
]
DECODE = [
    [1, 300, 301],
    [1, 300, 301, 2],
    [2, 2],
    [1],
    [300, 1, 301, 0, 0],
    [[1, 300], [301, 302, 2]],
    [1, 300, 2, 1, 301],
    [3, 4, 68, 230, 188, 255],
]
PROMPTS = [[1, 5, 9, 200], [1, 40], [1, 7, 7, 31, 8, 100]]
PADDED = [[*p, *[0] * (8 - len(p))] for p in PROMPTS]
GENERATE = [
    {"ids": PROMPTS[0], "max_new_tokens": 12},
    {"ids": PROMPTS[0], "max_length": 12},
    {"ids": PROMPTS[0]},
    {"ids": PADDED, "max_length": 14},
    {"ids": PADDED, "max_new_tokens": 6},
    {"ids": PADDED, "max_length": 1000},
    {"ids": PROMPTS[2], "max_new_tokens": 12, "repetition_penalty": 1.5},
    {"ids": PROMPTS[2], "max_new_tokens": 12, "do_sample": True, "top_k": 1},
]


class Streamer:
    """Keeps what generate says of its progress."""

    def __init__(self):
        self.seen = []

    def put(self, value):
        """One more value."""
        self.seen.append(value)

    def end(self):
        """The end."""
        self.seen.append("end")


def plain(value):
    """``value`` as JSON."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


def attempt(function, *args, **kwargs):
    """What a call gives, or the kind of its error."""
    try:
        return plain(function(*args, **kwargs))
    except Exception as error:
        return {"error": type(error).__name__}


def main(folder, out):
    """Writes the record of FOLDER's model to OUT."""
    yaml, ckpt = next(folder.glob("*.yaml")), next(folder.glob("*.ckpt"))
    tokenizer = LlamaTokenizer(str(folder / "tokenizer.model"))
    record = {"tokenizer": [], "decode": [], "generate": [], "stream": [], "pipeline": []}
    for call in CALLS:
        for text in [*TEXTS[:3], TEXTS[:3], *TEXTS[3:]]:
            answer = attempt(lambda t=text, c=call: dict(tokenizer(t, **c)))
            record["tokenizer"].append({"text": text, "call": call, "answer": answer})
    for ids in DECODE:
        for skip in (False, True):
            answer = attempt(tokenizer.decode, ids, skip_special_tokens=skip)
            record["decode"].append({"ids": ids, "skip": skip, "answer": answer})
    for past in (False, True):
        for case in GENERATE:
            ids = case["ids"]
            config = AutoConfig.from_pretrained(str(yaml))
            config.checkpoint_name_or_path = str(ckpt)
            config.use_past = past
            config.use_rope_slice = True  # what the CPU can compute
            config.batch_size = len(ids) if isinstance(ids[0], list) else 1
            model = AutoModel.from_config(config)
            given = {key: value for key, value in case.items() if key != "ids"}
            answer = attempt(model.generate, ids, **given)
            record["generate"].append({"past": past, "ids": ids, "given": given, "answer": answer})
    streamer = Streamer()
    model.generate(PROMPTS[0], max_new_tokens=3, streamer=streamer)
    record["stream"].append({"ids": PROMPTS[0], "seen": plain(streamer.seen)})
    config.use_past, config.batch_size = False, 1
    model = AutoModel.from_config(config)
    streamer = Streamer()
    model.generate(PADDED, max_length=9, streamer=streamer)
    record["stream"].append({"ids": PADDED, "seen": plain(streamer.seen)})
    for inputs, given in [
        (TEXTS[0], {"max_length": 30}),
        (TEXTS[:3], {"max_length": 40}),
        (TEXTS[:3], {"max_length": 40, "batch_size": 3}),
    ]:
        task = pipeline("text_generation", model=model, tokenizer=tokenizer)
        answer = attempt(task, inputs, **given)
        record["pipeline"].append({"inputs": inputs, "given": given, "answer": answer})
    out.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
