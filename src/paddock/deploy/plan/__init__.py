"""The steps of all hosts of a deployment: planned, applied, resumed and undone."""

from __future__ import annotations

from paddock.deploy.plan.deployment import Applied, Deployment, Options, names
from paddock.deploy.plan.events import Event
from paddock.deploy.plan.fleet import Failure, Result
from paddock.deploy.plan.journal import Entry, Journal
from paddock.deploy.plan.model import HostPlan, Obstacle, Plan, StepPlan
from paddock.deploy.plan.prepare import Prepared

__all__ = [
    "Applied",
    "Deployment",
    "Entry",
    "Event",
    "Failure",
    "HostPlan",
    "Journal",
    "Obstacle",
    "Options",
    "Plan",
    "Prepared",
    "Result",
    "StepPlan",
    "names",
]
