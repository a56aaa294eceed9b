"""From a deployment's steps to what a bundle must hold, so that they run without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from paddock.deploy.bundle import CarryStep, Contents, Placed, Wheels, images
from paddock.deploy.container import Archive
from paddock.deploy.provision import wheel
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.install import PaddockStep, beside
from paddock.deploy.provision.mirrors import base
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.provision.pip import PipStep, Wanted
from paddock.deploy.provision.python import environment
from paddock.deploy.stackfile import Stackfile
from paddock.deploy.step import Step
from paddock.errors import UsageError


def contents(
    context: Context,
    steps: Sequence[Step],
    work: Path,
    *,
    weights: Path | None = None,
    image: str | None = None,
    packages: bool = True,
) -> Contents:
    """What those steps fetch. ``work`` takes the wheel of this very Paddock.

    ``weights`` is the model's folder here, ``image`` the container's image, None for neither.
    """
    system, place = context.inside.system, environment(context)
    arch = system.arch or context.host.system.arch
    if not arch:
        raise UsageError("the processor of the target is not known", hint="look at: paddock host")
    python = place.version if place else None
    version = ".".join(python.split(".")[:2]) if python else None
    names = [name for step in steps if isinstance(step, PackagesStep) for name in step.apt]
    artifacts = context.file.stack.artifacts
    stack = context.stack
    runs = [file for file in (stack.files if stack else ()) if file.kind == "run"]
    return Contents(
        name=context.file.name,
        arch=arch,
        python=version,
        glibc=system.libc_version,
        system=f"{system.id or ''}:{system.codename or ''}",
        wheels=tuple(_wheels(context, steps, work, arch)),
        installers=tuple(
            (f.name, f.url) for f in runs if f.component in ("cann", "kernels", "nnal")
        ),
        packages=tuple(dict.fromkeys(names)) if packages else (),
        image=image,
        engine=context.file.container.engine if image else None,
        weights=weights,
        model=_name(context.file.model) if weights else None,
        artifacts=Path(artifacts) if artifacts else None,
        index=base(context.file.mirrors.pip) if context.file.mirrors.pip else None,
        stack=stack.to_dict() if stack else None,
    )


def _wheels(context: Context, steps: Sequence[Step], work: Path, arch: str) -> Iterator[Wheels]:
    for step in steps:
        if isinstance(step, PipStep):
            yield Wheels(
                tuple(map(_requirement, step.wanted)),
                step.constraints,
                tuple(dict.fromkeys(each.index for each in step.wanted if each.index)),
            )
        elif isinstance(step, PaddockStep):
            work.mkdir(parents=True, exist_ok=True)
            made = wheel.build(work, arch=arch)
            apart = beside(context).version if context.apart else None
            yield Wheels((f"paddock[serve] @ {made.resolve().as_uri()}",), python=apart)


def _name(model: str | None) -> str | None:
    """What a model's folder in a bundle is called: its name, or the last part of its path."""
    return Path(model).name if model else None


def _requirement(each: Wanted) -> str:
    return each.address or each.requirement


def installed_from(file: Stackfile, bundle: Placed) -> Stackfile:
    """The stack file with everything taken from the bundle, where that lies on the host."""
    model, there = file.model, bundle.manifest.model
    if there is not None and _name(model) == there:
        model = f"{bundle.place}/models/{there}"
    return replace(file, stack=replace(file.stack, artifacts=bundle.place), model=model)


def carried(context: Context) -> list[Step]:
    """The step that brings the bundle to the host; none where it is there or there is none."""
    bundle = context.bundle
    if bundle is None or not bundle.sends:
        return []
    return [CarryStep(bundle, bundle.needed(context.file.model), context.folder)]


def archive(context: Context, image: str) -> Archive | None:
    """Where the container's image may be had as a file; None where there are no artifacts."""
    if context.artifacts is None:
        return None
    bundle, path = context.bundle, f"{context.artifacts}/{images.archive(image)}"
    entry = bundle.archive if bundle and bundle.manifest.image == image else None
    if bundle is None or entry is None:
        return Archive(path)
    return Archive(
        path,
        entry.sha256,
        entry.bytes,
        bundle.manifest.image_ids,
        bundle.manifest.image_layers,
        f"{bundle.source}/{entry.path}" if bundle.sends else None,
    )
