"""The rule of version files, against what is known to work and to fail."""

from __future__ import annotations

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView
from paddock.deploy.resolve.driver import Verdict, pair, within
from paddock.deploy.resolve.hdk import driver_file, toolkit_file

VIEW = HostView()


@pytest.mark.parametrize(
    ("driver", "cann", "verdict"),
    [
        ("23.0.7", "8.0.0", Verdict.admitted),  # works: vllm-ascend issue 362
        ("24.1.rc2.2", "7.0.0", Verdict.admitted),  # by the driver's list
        ("25.0.rc1.1", "8.2.RC1", Verdict.admitted),  # works: a deployment report
        ("24.1.rc2.2", "8.0.RC3", Verdict.refused),  # fails: gpustack issue 755
        ("24.1.rc1", "8.3.RC1", Verdict.admitted),  # admitted and yet reported bad
        ("26.0.rc1", "9.0.0", Verdict.admitted),  # C10 is one of 9.0's own families
        ("26.0.rc1", "8.0.RC1", Verdict.unknown),  # the C10 that 8.0.RC1 lists is an older one
        ("25.5.0", "8.5.0", Verdict.unknown),  # a matched pair without a known file
        ("23.0.0", "8.0.RC3", Verdict.unknown),  # the driver's own list is not known
    ],
)
def test_back_test(driver: str, cann: str, verdict: Verdict) -> None:
    catalog = load()
    found = pair(toolkit_file(catalog, VIEW, cann), driver_file(catalog, VIEW, driver))
    assert found is verdict


@pytest.mark.parametrize(
    ("version", "intervals", "inside"),
    [
        ("7.7.0.1.231", "[7.0.0,7.7.99]", True),
        ("7.1.0.3.220", "[7.0.0,7.1.99]", True),
        ("7.7.0.1.231", "[7.0.0,7.1.99]", False),
        ("25.0.rc1.1", "[23.0.0,23.0.0.],[24.0,24.0.],[24.1,24.1.],[25.0,25.0.]", True),
        ("24.1.0.1", "[23.0.0,23.0.0.],[24.0,24.0.],[24.1,24.1.],[25.0,25.0.]", True),
        ("23.0.7", "[24.0,24.0.],[24.1,24.1.]", False),
        ("8.0.1", "[6.4.0,6.4.99],[7.0.0,8.9.9]", True),
        ("7.0.0", "something else", None),
        ("unknown", "[7.0.0,7.1.99]", None),
    ],
)
def test_intervals(version: str, intervals: str, inside: bool | None) -> None:
    assert within(version, intervals) is inside


def test_the_hosts_own_file_goes_first() -> None:
    """A rebuilt toolkit of the same version may list other families."""
    view = HostView.from_dict(
        {
            "accelerator": "ascend",
            "toolkits": {"8.0.RC3": {"version": "8.0.RC3", "inner": "V100R001C99SPC001B001"}},
        }
    )
    assert toolkit_file(load(), view, "8.0.RC3").family == "V100R001C99"
    assert toolkit_file(load(), VIEW, "8.0.RC3").family == "V100R001C19"
