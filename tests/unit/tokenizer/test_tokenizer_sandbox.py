"""Chat templates do what transformers lets them do, and no more."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from paddock.errors import TokenizerError, UsageError
from paddock.inference.tokenizer.sandbox import MAX_SOURCE, Sandbox

DATA = Path(__file__).parent / "data"
HOSTILE = json.loads((DATA / "hostile_templates.json").read_text(encoding="utf-8"))
MESSAGES = [
    {"role": "user", "content": " <b>Hello</b> & 'welcome' \n"},
    {"role": "assistant", "content": "你好 🦙"},
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_end_in_an_error(name):
    started = time.monotonic()
    with pytest.raises(TokenizerError, match=r"^evil\.jinja "):
        Sandbox(HOSTILE[name], "evil.jinja").render(messages=MESSAGES)
    assert time.monotonic() - started < 30


ORDINARY = [
    "{{ messages[0].content | trim }}{{ messages | length }}",
    "{% for m in messages %}{{ loop.index }}{% if loop.last %}!{% endif %}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ m['content'].strip() }}{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k ~ '=' ~ v }};{% endfor %}",
    "{% set ns = namespace(n=0, seen=false) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if ns.n == 1 %}{% continue %}{% endif %}{{ ns.n }}{% endfor %}{{ ns.n }}",
    "{{ messages | tojson }}{{ messages | tojson(indent=2) }}",
    "{% macro say(m, mark='>') %}{{ mark }}{{ m.content }}{% endmacro %}"
    "{% for m in messages %}{{ say(m) }}{{ say(m, mark='*') }}{% endfor %}",
    "{% set a, b = messages[0], messages[1:] %}{{ a.role }}{{ b[0].role }}",
    "{{ messages | map(attribute='role') | join(', ') }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "{% if tools is none and tools is not defined %}x{% else %}{{ 'y' * 3 }}{% endif %}",
    "{{ messages[1].content.split(' ')[-1] | upper }}{{ 'ab'.replace('a', 'c') }}",
    "{% set text %}{{ messages[0].content }}|{% endset %}{{ text }}",
    "{{ dict(a=1, b=[2, 3]).b }}{{ {'x': 'y'}['x'] }}{{ (1, 2) }}{{ 7 % 4 }}{{ 2 ** 5 }}",
    "  {% if true %}\n    a\n  {% endif %}\nb\n",
    "{%- for c in 'abc' -%}{% filter upper %}{{ c }}{% endfilter %}{%- endfor -%}",
    "{% macro wrap() %}[{{ caller('z') }}]{% endmacro %}{% call(x) wrap() %}{{ x }}{% endcall %}",
    "{{ undefined_thing }}{{ undefined_thing is defined }}{{ messages[0].nope | default('d') }}",
    "{{ strftime_now('%%') }}{{ '%' }}{{ range(3) | list }}{{ [3, 1, 2] | sort | first }}",
]


@pytest.mark.parametrize("source", ORDINARY)
def test_ordinary_templates_read_as_in_transformers(source):
    from transformers.utils.chat_template_utils import render_jinja_template

    given = {"add_generation_prompt": True, "tools": None}
    theirs, _ = render_jinja_template([MESSAGES], chat_template=source, **given)
    assert Sandbox(source, "a").render(messages=MESSAGES, **given) == theirs[0]


def test_a_templates_refusal_is_the_users_error():
    sandbox = Sandbox("{{ raise_exception('roles must alternate') }}", "chat.jinja")
    with pytest.raises(
        UsageError, match=r"chat\.jinja refuses these messages: roles must alternate"
    ):
        sandbox.render(messages=[])


def test_a_long_conversation_is_within_the_limits():
    long = [{"role": "user", "content": "word " * 100_000}] * 40
    source = "{% for m in messages %}{{ '<' ~ m.content | trim + '>' }}{% endfor %}"
    assert len(Sandbox(source, "a").render(messages=long)) == 40 * 500_001


def test_an_endless_source_is_refused():
    with pytest.raises(TokenizerError, match="a template of"):
        Sandbox(" " * (MAX_SOURCE + 1), "a")
