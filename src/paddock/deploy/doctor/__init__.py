"""What is wrong with a machine, a log or a configuration: findings with evidence, cause and fix."""

from __future__ import annotations

from paddock.deploy.doctor.diagnose import diagnose, read_log
from paddock.deploy.doctor.finding import Evidence, Finding, Report
from paddock.deploy.doctor.load import load
from paddock.deploy.doctor.mindformers import read_config
from paddock.deploy.doctor.rule import Fix, Pattern, Rule
from paddock.deploy.doctor.subject import Config, Subject, Wish

__all__ = [
    "Config",
    "Evidence",
    "Finding",
    "Fix",
    "Pattern",
    "Report",
    "Rule",
    "Subject",
    "Wish",
    "diagnose",
    "load",
    "read_config",
    "read_log",
]
