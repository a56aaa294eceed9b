"""Medians and spread on samples made by hand and against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddock.bench.summary import Summary, ratios
from paddock.errors import BenchError


def test_by_hand() -> None:
    found = Summary.of([4, 1, 3, 2])
    assert (found.median, found.min, found.max) == (2.5, 1, 4)
    assert found.quartiles == (1.75, 3.25)
    assert found.samples == (4, 1, 3, 2), "in the order in which they were taken"


def test_one_sample_is_all_of_them() -> None:
    found = Summary.of([7])
    assert (found.median, found.min, found.max, found.quartiles) == (7, 7, 7, (7, 7))


# The health check takes a busy machine for a slow generator.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_as_numpy_has_it(samples: list[float]) -> None:
    found = Summary.of(samples)
    wanted = np.percentile(samples, [25, 50, 75])
    np.testing.assert_allclose(
        [found.quartiles[0], found.median, found.quartiles[1]], wanted, rtol=1e-9, atol=1e-6
    )


@pytest.mark.parametrize("samples", [[], [float("nan")], [1.0, float("inf")]])
def test_no_measurement(samples: list[float]) -> None:
    with pytest.raises(BenchError, match="no samples of a measurement"):
        Summary.of(samples)


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was half as quick in the second round: the ratio of medians would be 1.5.
    assert ratios([20, 10], [10, 5]).samples == (2, 2)
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


def test_numbers_that_do_not_fit_the_samples_are_refused() -> None:
    saved = Summary.of([1, 2, 3]).to_dict()
    assert Summary.from_dict(saved) == Summary.of([1, 2, 3])
    with pytest.raises(BenchError, match=r"median is 3, but the samples give 2"):
        Summary.from_dict(saved | {"median": 3})
