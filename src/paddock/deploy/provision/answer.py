"""Asks a server that was just put up for an answer, on the machine where it listens."""

from __future__ import annotations

import json
from typing import Any

from paddock.deploy.provision import serve
from paddock.deploy.provision.context import Context
from paddock.deploy.step import Machine
from paddock.errors import StepFailed

PROMPT = "I love Beijing, because"
"""The question of MindFormers' own model card."""

TOKENS = 16

ANSWER_S = 300.0
"""Seconds for one answer: a graph may be compiled for the first."""

# On the target, because that is where the address is known to lead, and by the interpreter that
# the server has, because curl may not be there.
_ASK = r"""
import sys, json, time, urllib.request as u, urllib.error as e
wanted = json.load(sys.stdin)
opener = u.build_opener(u.ProxyHandler({}))
body = None if wanted["body"] is None else json.dumps(wanted["body"]).encode()
request = u.Request(wanted["url"], body, {"Content-Type": "application/json"})
began = time.monotonic()
try:
    answer = opener.open(request, timeout=wanted["timeout"])
    code, text = answer.status, answer.read()
except e.HTTPError as error:
    code, text = error.code, error.read()
except OSError as error:
    code, text = 0, str(error).encode()
json.dump([code, text.decode(errors="replace"), time.monotonic() - began], sys.stdout)
"""


def ask(context: Context, machine: Machine) -> str:
    """One sentence about the answer. Raises StepFailed where there is none.

    The same question twice at temperature 0 must get the same answer. A server that wants a key is
    only asked whether it is ready: the key itself is nowhere but with whoever made it.
    """
    if not context.file.serve.enabled:
        return "no server was asked for"
    base = serve.address(context)
    code, text, _ = _request(context, machine, f"{base}/ready", None)
    if code != 200:
        raise _wrong(machine, f"{base}/ready says {code}: {text[:200]}")
    if context.file.serve.api_key_file is not None:
        return f"ready at {base}; it asks for a key, so the model was not asked"
    code, text, _ = _request(context, machine, f"{base}/v1/models", None)
    model = _read(machine, code, text)["data"][0]["id"]
    body = {"model": model, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}
    found = [_request(context, machine, f"{base}/v1/completions", body) for _ in range(2)]
    texts = [_read(machine, code, text)["choices"][0]["text"] for code, text, _ in found]
    if not texts[0].strip():
        raise _wrong(machine, f"{model} answers {PROMPT!r} with nothing")
    if texts[0] != texts[1]:
        raise _wrong(machine, f"{model} answers {PROMPT!r} at temperature 0 in two ways: {texts}")
    speed = TOKENS / found[1][2]
    return f"{model} goes on: {PROMPT}{texts[0].rstrip()} ({speed:.0f} tokens/s with HTTP)"


def _request(context: Context, machine: Machine, url: str, body: Any) -> tuple[int, str, float]:
    wanted = json.dumps({"url": url, "body": body, "timeout": ANSWER_S})
    argv = [context.interpreter, "-I", "-S", "-c", _ASK]
    output = machine.run(argv, timeout=ANSWER_S + 30, stdin=wanted)
    if not output.ok:
        raise _wrong(machine, output.stderr.strip() or f"python ended with {output.exit_code}")
    code, text, seconds = json.loads(output.stdout)
    return code, text, seconds


def _read(machine: Machine, code: int, text: str) -> Any:
    if code != 200:
        raise _wrong(machine, f"the server says {code}: {text[:300]}")
    return json.loads(text)


def _wrong(machine: Machine, reason: str) -> StepFailed:
    return StepFailed("verify", machine.target, reason, hint="its log: paddock logs")
