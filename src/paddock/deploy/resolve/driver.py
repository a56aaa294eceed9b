"""The rule that pairs an Ascend driver with a CANN toolkit, and a firmware with a driver.

Both packages print an inner version, whose family is its ``V100R001C15``, and the families they
work with. A pair is admitted if either lists the other. Families have no order, and C10 was used
again for CANN 9.0. The lists are incomplete where no public report shows the file, and then nothing
is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from paddock.deploy.catalog.versions import key

USED_AGAIN = {"V100R001C10": "V100R001C21"}
"""A family number of CANN 8.0.RC1's time that CANN 9.0 took again, and one that lists of 9.0's time
name beside it. In a list without that one the number means the old family."""


class Verdict(str, Enum):
    """What the rule says of a pair."""

    admitted = "admitted"
    refused = "refused"
    unknown = "unknown"


@dataclass(frozen=True, slots=True)
class VersionFile:
    """What a package says of itself: ``driver/version.info``, ``ascend_toolkit_install.info``.

    ``inner`` is the inner version (``V100R001C15SPC002B224``) or None, ``compatible`` the families
    it lists, ``partners`` the interval of firmware or driver versions as printed.
    """

    version: str
    inner: str | None = None
    compatible: tuple[str, ...] = ()
    partners: str | None = None
    origin: str = "catalogue"

    @property
    def family(self) -> str | None:
        """``V100R001C15`` of ``V100R001C15SPC002B224``; None where the inner version is unknown."""
        return family(self.inner) if self.inner else None


def family(inner: str) -> str | None:
    """The family of an inner version, None for what is none."""
    found = re.match(r"V\d+R\d+C\d+", inner)
    return found[0] if found else None


def pair(toolkit: VersionFile, driver: VersionFile) -> Verdict:
    """Whether the families admit toolkit and driver together.

    ``refused`` needs both lists and both families; with less, ``unknown``.
    """
    if _lists(toolkit, driver.family) or _lists(driver, toolkit.family):
        return Verdict.admitted
    complete = driver.family and toolkit.family and toolkit.compatible and driver.compatible
    return Verdict.refused if complete else Verdict.unknown


def _lists(file: VersionFile, wanted: str | None) -> bool:
    if wanted not in file.compatible:
        return False
    return USED_AGAIN.get(wanted, wanted) in file.compatible


def within(version: str, intervals: str) -> bool | None:
    """Whether ``version`` lies in intervals as version files print them; None if unreadable.

    ``[24.1,24.1.]`` is every 24.1, ``[7.0.0,7.1.99]`` goes by numbers. Source: the files
    driver/version.info and firmware/version.info of Ascend's HDK.
    """
    found = re.findall(r"\[\s*([\w.]+)\s*,\s*([\w.]+)\s*\]", intervals)
    mine = _numbers(version)
    if not found or not mine:
        return None
    for low, high in found:
        begin, end = _numbers(low), _numbers(high)
        if not begin or not end:
            return None
        if begin <= mine and mine[: len(end)] <= end:
            return True
    return False


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers: 25.0.rc1.1 counts as 25.0, because the files write it so."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def same(one: str, other: str) -> bool:
    """Whether two spellings name the same release (``24.1.RC2``, ``24.1.rc2``)."""
    return key(one, "huawei") == key(other, "huawei")
