"""What works with what: releases and pairings as data, each with its source, date and level."""

from __future__ import annotations

from paddock.deploy.catalog.load import DATA, load
from paddock.deploy.catalog.schema import (
    Artifact,
    Catalog,
    Component,
    Level,
    Needs,
    Pairing,
    Recipe,
    Release,
    Source,
)
from paddock.deploy.catalog.validate import validate

__all__ = [
    "DATA",
    "Artifact",
    "Catalog",
    "Component",
    "Level",
    "Needs",
    "Pairing",
    "Recipe",
    "Release",
    "Source",
    "load",
    "validate",
]
