"""What pip is to install for a stack: its distributions, where they come from, what they bear."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from paddock.deploy.doctor.subject import PACKAGES
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.pip import Wanted
from paddock.deploy.resolve.stack import File


def wanted(context: Context, components: Iterable[str]) -> tuple[Wanted, ...]:
    """The distributions of those components that the stack has, in the order given."""
    stack = context.stack
    if stack is None:
        return ()
    files = {file.component: file for file in stack.files if file.kind in ("wheel", "package")}
    found = []
    for component in components:
        version = stack.version(component)
        if version is not None:
            found.append(_wanted(context, component, version, files.get(component)))
    return tuple(found)


def constraints(context: Context) -> tuple[str, ...]:
    """Every distribution of the stack in its version: nothing that comes along may replace one."""
    stack = context.stack
    if stack is None:
        return ()
    pairs = ((name, stack.version(component)) for component, name in PACKAGES.items())
    # MindInsight has an environment of its own: its bounds would hold MindSpore's protobuf down.
    return tuple(f"{n}=={v}" for n, v in pairs if v is not None and n != "mindinsight")


def _wanted(context: Context, component: str, version: str, file: File | None) -> Wanted:
    name = PACKAGES[component]
    if file is None:
        return Wanted(name, version)
    if file.kind == "wheel":
        return Wanted(name, version, source=file.name, address=file.url)
    # A page of the index itself is no index; who names a mirror wants nothing from elsewhere.
    host = urlsplit(file.url).hostname
    foreign = host not in (None, "pypi.org") and not context.file.mirrors.pip
    return Wanted(name, version, source=file.name, index=file.url if foreign else "")
