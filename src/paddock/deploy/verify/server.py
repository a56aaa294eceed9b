"""The server: a known answer at temperature 0, and how fast it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from paddock.deploy.provision import Context
from paddock.deploy.provision import serve as service
from paddock.deploy.verify import roofline
from paddock.deploy.verify.place import Place, reason, told
from paddock.deploy.verify.report import Check

PROMPT = "I love Beijing, because"

KNOWN = {
    "demo": " it is the capital of China",
    "llama2-7b": " it’s a city that is constantly changing",
    "llama2_7b": " it’s a city that is constantly changing",
}
"""How models go on with PROMPT: the built-in one by this project's golden texts, Llama 2 7B by
MindFormers' model card (v1.0.0, docs/model_cards/llama2.md)."""

FEW, MANY = 8, 72
"""Tokens of two answers whose difference is the speed: what comes before the first drops out."""

# On the target, by the server's own interpreter: there the address leads, and curl may be missing.
ASK = r"""
import json, sys, time, urllib.error, urllib.request
base, bodies = json.load(sys.stdin)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answers = []
for path, body in bodies:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    began = time.perf_counter()
    try:
        with opener.open(request, timeout=600) as answer:
            code, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        code, text = error.code, error.read()
    except OSError as error:
        code, text = 0, str(error).encode()
    answers.append([code, text.decode(errors="replace"), time.perf_counter() - began])
print(json.dumps(answers))
"""


def check(context: Context, place: Place, kind: str) -> Iterator[Check]:
    """The answer, then the speed where there is an answer."""
    names = (("answer", "A known answer over HTTP"), ("speed", "Tokens a second"))
    if not context.file.serve.enabled:
        yield from (Check(*name, "skipped", "no server was wished for") for name in names)
        return
    if context.file.serve.api_key_file is not None:
        found = _ask(context, place, [("/ready", None)])
        code, text = found[0][:2] if isinstance(found, list) else (0, found)
        if code != 200:
            yield Check(*names[0], "failed", f"/ready says {code}: {text[:200]}")
        else:
            detail = "it is ready and asks for a key, which is nowhere but with its owner"
            yield Check(*names[0], "skipped", detail)
        yield Check(*names[1], "skipped", "it asks for a key")
        return
    model, answer = _answer(context, place)
    yield answer
    if answer.status == "failed":
        yield Check(*names[1], "skipped", "there is no answer to time")
        return
    yield _speed(context, place, kind, model)


def _body(model: str, tokens: int) -> dict[str, Any]:
    return {"model": model, "prompt": PROMPT, "max_tokens": tokens, "temperature": 0}


def _answer(context: Context, place: Place) -> tuple[str, Check]:
    name, title = "answer", "A known answer over HTTP"
    base, hint = service.address(context), "its log: paddock logs"

    def failed(detail: str) -> tuple[str, Check]:
        return "", Check(name, title, "failed", detail, hint=hint)

    models = _ask(context, place, [("/v1/models", None)])
    if isinstance(models, str):
        return failed(models)
    code, text, _ = models[0]
    if code != 200:
        return failed(f"{base}/v1/models says {code}: {text[:200]}")
    model = str(json.loads(text)["data"][0]["id"])
    found = _ask(context, place, [("/v1/completions", _body(model, 16))] * 2)
    if isinstance(found, str):
        return failed(found)
    if bad := [each for each in found if each[0] != 200]:
        return failed(f"{base}/v1/completions says {bad[0][0]}: {bad[0][1][:200]}")
    texts = [str(json.loads(each[1])["choices"][0]["text"]) for each in found]
    if texts[0] != texts[1]:
        return failed(f"{PROMPT!r} is answered at temperature 0 in two ways: {texts}")
    if not texts[0].strip():
        return failed(f"{PROMPT!r} is answered with nothing")
    known = next((KNOWN[key] for key in (model, model.lower()) if key in KNOWN), None)
    said = f"{PROMPT}{texts[0]}".strip()
    if known is None:
        detail = f"{said} (twice the same; no source tells what {model} should say)"
        return model, Check(name, title, "passed", detail)
    if not texts[0].startswith(known):
        return failed(f"{model} says {said!r}, and should go on with {known!r}")
    return model, Check(name, title, "passed", said)


def _speed(context: Context, place: Place, kind: str, model: str) -> Check:
    name, title = "speed", "Tokens a second"
    bodies = [("/v1/completions", _body(model, n)) for n in (FEW, MANY, FEW, MANY)]
    found = _ask(context, place, bodies)
    if isinstance(found, str) or any(each[0] != 200 for each in found):
        said = found if isinstance(found, str) else str(found)[:200]
        return Check(name, title, "failed", said)
    counts = [json.loads(each[1])["usage"]["completion_tokens"] for each in found]
    if counts[1] - counts[0] < FEW:
        return Check(name, title, "skipped", f"the answer ends after {counts[1]} tokens")
    seconds = min(found[1][2], found[3][2]) - min(found[0][2], found[2][2])
    if seconds <= 0:
        return Check(name, title, "skipped", "the clock there is too coarse for so few tokens")
    speed = (counts[1] - counts[0]) / seconds
    detail = f"{speed:.1f} tokens/s for one request with HTTP"
    return Check(name, title, "passed", f"{detail}; {_judged(context, place, kind, speed)}", speed)


def _judged(context: Context, place: Place, kind: str, speed: float) -> str:
    """What the speed is worth, or why that cannot be told."""
    options = context.file.serve.options
    output = place.run(
        *(context.server, "-m", "paddock", "inspect", context.file.model or "demo", "--json")
    )
    facts = told(output)
    if not output.ok or not isinstance(facts, dict):
        return f"not compared: {reason(output)}"
    size = roofline.weight_bytes(facts["total_bytes"], facts["n_params"], options)
    if size < roofline.JUDGED:
        return f"not compared with the memory: {size / 1e6:.0f} MB of weights stay in caches"
    limit = roofline.bound(context.host, kind)
    if isinstance(limit, str):
        return f"not compared with the memory: {limit}"
    share = speed * size / (limit.bytes_per_s * roofline.ranks(options))
    why = roofline.suspect(context.inside, options) or roofline.suspect(context.host, options)
    return f"{roofline.verdict(share, why)} ({limit.source}, {size / 1e9:.1f} GB a token)"


def _ask(
    context: Context, place: Place, bodies: Sequence[tuple[str, dict[str, Any] | None]]
) -> list[Any] | str:
    """The answers: code, text, seconds; or why the program that asks did not run."""
    wanted = json.dumps([service.address(context), bodies])
    output = place.run(context.server, "-I", "-S", "-c", ASK, stdin=wanted)
    answers = told(output)
    return answers if output.ok and isinstance(answers, list) else reason(output)
