"""More than 2,000 distinct lines of the kinds that break tokenizers, the same on every run."""

from __future__ import annotations

import random
from functools import cache

ENGLISH = [
    "the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "while", "Alice's", "teacher",
    "couldn't", "believe", "that", "nineteen", "llamas", "had", "wandered", "through", "Beijing,",
    "because", "somebody", "left", "every", "gate", "open;", "naïve", "café", "résumé", "coöperate",
    "Zürich", "—", "“quoted”", "…", "€5", "£3", "½", "×",
]  # fmt: skip
CHINESE = (
    "我爱北京因为这里有很多历史文化和好吃的东西华为是一家科技公司大模型在昇腾芯片上运行"
    "，。！？“”《》、；：（）\u3000繁體字"
)
EMOJI = [
    "😀", "🦙", "❤️", "1️⃣", "🇨🇳", "🇩🇪", "✈", "\U0001fae8", "👍\U0001f3fd",
    "👩\u200d👩\u200d👧\u200d👦", "\U0001f3f3\ufe0f\u200d🌈", "🧑\U0001f3ff\u200d🚀",
]  # fmt: skip
OTHER = [
    "Привет, мир! Как дела?", "مرحبا بالعالم كيف حالك", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "안녕하세요 세계", "こんにちは世界、カタカナ", "Γειά σου Κόσμε", "Tiếng Việt có dấu",
    "e\u0301a\u0308n\u0303 ﬁ ﬃ Ａｂｃ", "𝕬𝖇𝖈 𒀀 𓂀", "Ǆ ß İ ı",
]  # fmt: skip
CODE = [
    "def f{i}(x: int, *a) -> list[int]:",
    "    return [y ** {i} for y in x if y != -{i}]  # {i}%",
    "\tif (p->next[{i}] == NULL && *q++) {{ goto out; }}",
    '{{"id": {i}, "name": "n\\u00e9{i}", "ok": [true, null, {i}.5e-7]}}',
    "SELECT * FROM t{i} WHERE a LIKE '%{i}_%' -- <!-- {i} -->",
    "https://example.org/a/{i}?q=%E4%BD%A0&x[]={i}#frag",
    "<div class='c{i}'>&lt;{i}&gt;</div>",
    "for i in $(seq {i}); do echo \"${{a[{i}]}}\" | tr -d '\\r'; done",
    "\t\t  std::vector<std::pair<int, T>> v{i}{{{i}, {i}}};",
]
MARKUP = [
    "<s>", "</s>", "<unk>", "<pad>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<0x0A>", "<0xE4>",
    "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>", "<|im_start|>",
    "▁", "▁▁the", "Ġthe", "##ing", "\ufffd", "\ufeff",
]  # fmt: skip


def _words(rng: random.Random) -> str:
    return " ".join(rng.choices(ENGLISH, k=rng.randint(1, 14)))


def _make(rng: random.Random, i: int) -> str:
    kind = i % 12
    if kind == 0:
        return _words(rng).capitalize() + rng.choice(".!?")
    if kind == 1:
        return "".join(rng.choices(CHINESE, k=rng.randint(1, 30)))
    if kind == 2:
        return rng.choice(["", " "]).join(rng.choices(EMOJI, k=rng.randint(1, 6)))
    if kind == 3:
        return rng.choice(CODE).format(i=rng.randint(0, 99999))
    if kind == 4:
        controls = [chr(c) for c in (*range(0, 32), 127, *range(0x80, 0xA0), 0x200B, 0x2028)]
        return "".join(rng.choices([*controls, *ENGLISH], k=rng.randint(1, 10)))
    if kind == 5:
        return rng.choice(OTHER) + rng.choice([" ", ""]) + rng.choice(OTHER)[: rng.randint(0, 9)]
    if kind == 6:
        pad = " " * rng.randint(0, 20)
        return pad + rng.choice(["\t", "\n", "\r\n", "\u00a0", "\u3000"]) + _words(rng) + pad
    if kind == 7:
        return rng.choice(["", " "]).join(rng.choices(MARKUP + ENGLISH, k=rng.randint(1, 6)))
    if kind == 8:
        return str(rng.randint(0, 10 ** rng.randint(1, 30))) + rng.choice(
            ["", " ", ".5", "%", "년"]
        )
    if kind == 9:
        points = (rng.choice([0x7FF, 0xD7FF, 0xFFFF, 0x10FFFF]) for _ in range(rng.randint(1, 12)))
        return "".join(
            chr(c if not 0xD800 <= c <= 0xDFFF else c - 0x2000)
            for c in (rng.randint(0, top) for top in points)
        )
    if kind == 10:
        return rng.choice(ENGLISH) * rng.randint(1, 30)
    parts = [_words(rng), rng.choice(OTHER), rng.choice(EMOJI), rng.choice(MARKUP)]
    parts.append("".join(rng.choices(CHINESE, k=5)))
    rng.shuffle(parts)
    return rng.choice([" ", "", "\n"]).join(parts)


@cache
def lines() -> tuple[str, ...]:
    """The corpus: 2,400 distinct lines."""
    rng = random.Random(20230718)
    found: dict[str, None] = dict.fromkeys(["", " ", "  ", *MARKUP, *EMOJI, *OTHER])
    i = 0
    while len(found) < 2400:
        found[_make(rng, i)] = None
        i += 1
    return tuple(found)
