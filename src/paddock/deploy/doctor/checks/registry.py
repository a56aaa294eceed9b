"""The checks by name, as the data files call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject

Check = Callable[[Subject, Mapping[str, str]], Iterable[Evidence]]
"""A pure function from facts and a rule's ``args`` to the evidence that the rule applies.

It never raises for a fact that is missing, and takes none that is missing for a fault.
"""

CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Makes a function known to the rules by its name."""
    CHECKS[function.__name__] = function
    return function
