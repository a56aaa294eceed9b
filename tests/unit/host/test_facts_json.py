"""Facts go through JSON and come back equal, whatever they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddock.deploy.host.facts import Host, Npu
from paddock.errors import FactsError

# JSON has no surrogates, and no number above 2**53 survives every reader.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**53), 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False)

st.register_type_strategy(str, texts)
st.register_type_strategy(int, numbers)
st.register_type_strategy(float, floats)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.builds(Host, schema=st.just(1)))
def test_round_trip(host: Host) -> None:
    assert Host.from_json(host.to_json()) == host


def test_the_dictionary_is_what_json_says() -> None:
    host = Host(hostname="npu1", ports=())
    assert json.loads(json.dumps(host.to_dict())) == json.loads(host.to_json())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"schema": 2}', "schema 2, this version reads 1"),
        ('{"ports": 3}', r"`int` - at `\$.ports`"),
        ('{"ascend": {"npus": [{"npu": "0"}]}}', r"at `\$.ascend.npus\[0\].npu`"),
        (
            '{"ascend": {"npus": [{"npu": 0, "nmae": "910A"}]}}',
            r"unknown key 'ascend.npus\[0\].nmae'",
        ),
        ('{"hostnam": "x"}', "unknown key 'hostnam'"),
        (b"\xff\xfe", "not facts of a host"),
    ],
)
def test_what_is_no_facts(text: Any, message: str) -> None:
    with pytest.raises(FactsError, match=message):
        Host.from_json(text)


def test_facts_written_before_a_field_was_added_can_be_read() -> None:
    assert Host.from_json("{}") == Host()
    assert Host.from_json('{"ascend": {"npus": [{"npu": 3}]}}').ascend.npus == (Npu(3),)  # type: ignore[union-attr]
