"""Checks of versions against each other, through the catalogue and the driver's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paddock.deploy.catalog import Catalog, Level, Pairing
from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.comparable import readable
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import PACKAGES, Subject
from paddock.deploy.host.facts import Python
from paddock.deploy.resolve import make, resolve
from paddock.deploy.resolve.driver import Verdict, pair, same, within
from paddock.deploy.resolve.hdk import driver_file, toolkit_file
from paddock.errors import NoStack, UsageError

SOCS = {
    "910": "ascend910",
    "910b": "ascend910b",
    "a3": "ascend910_93",
    "310p": "ascend310p",
    "310b": "ascend310b",
}
"""Under which name CANN keeps the kernels of a generation (opp/.../tbe/kernel/<name>)."""


@check
def pair_off(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Installed versions of ``subject`` and ``object`` that the catalogue does not put together.

    With ``only = "reported-bad"``, just those of which failures are reported.
    """
    one, other = args["subject"], args["object"]
    in_python = {one, other} & {*PACKAGES, "python"}
    places: list[Python | None] = [*subject.pythons] if in_python else [None]
    for place in places:
        a, b = subject.version(one, place), subject.version(other, place)
        if a is None or b is None:
            continue
        wrong = _refusal(subject.catalog, (one, a[0]), (other, b[0]), args.get("only", ""))
        if wrong is not None:
            titles = subject.catalog.components
            fact = f"{titles[one].title} {a[0]} with {titles[other].title} {b[0]}: {wrong}"
            values = {"python": place.path if place else "", "found": b[0]}
            yield Evidence(fact, ", ".join(dict.fromkeys((a[1], b[1]))), values)


def _refusal(
    catalog: Catalog, one: tuple[str, str], other: tuple[str, str], only: str
) -> str | None:
    """Why the catalogue does not put two releases together; None where it does, or cannot say."""
    # 2.1.0+cpu is 2.1.0 to everybody who says what it goes with.
    a, b = one[1].partition("+")[0], other[1].partition("+")[0]
    rows = [
        row
        for row in catalog.by_pair.get((one[0], other[0]), ())
        if row.subjects.holds(a) and not row.only_with
    ]
    for row in rows:
        if row.level is Level.reported_bad and row.objects.holds(b):
            return row.why
    if only == Level.reported_bad.value:
        return None
    good = [row for row in rows if row.level is not Level.reported_bad]
    further = [row for row in good if row.further]
    plain = [row for row in good if not row.further]
    if plain and not any(row.objects.holds(b) for row in plain):
        return _wants(plain)
    bad = [row for row in further if not row.objects.holds(b)]
    return _wants(bad) if bad else None


def _wants(rows: list[Pairing]) -> str:
    texts = dict.fromkeys(row.objects.text for row in rows)
    return f"the first goes with {' or '.join(texts)}"


@check
def no_stack(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A framework that is wanted, and of which no set of versions fits this machine."""
    framework = subject.wish.framework
    # Without the architecture the resolver would answer for another machine.
    if framework is None or subject.host.system.arch is None:
        return
    values = {"framework": framework}
    try:
        wish = make(subject.catalog, framework, model=subject.wish.model)
        resolve(subject.catalog, subject.view, wish)
    except NoStack as error:
        for each in error.explanations:
            ways = {"way": each.corrections[0].sentence} if each.corrections else {}
            yield Evidence("; ".join(each.causes[0]), "catalogue, version files", values | ways)
    except UsageError as error:
        yield Evidence(error.message, "catalogue", values)


@check
def driver_refused(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A driver and a toolkit that exclude each other by the families in their own files."""
    found = _driver_and_toolkit(subject)
    if found is None or _rows(subject, *found):
        return
    driver, cann = found
    file, other = (
        toolkit_file(subject.catalog, subject.view, cann),
        driver_file(subject.catalog, subject.view, driver),
    )
    if pair(file, other) is Verdict.refused:
        yield Evidence(
            f"CANN {cann} is {file.family} and works with {' '.join(file.compatible)}; driver "
            f"{driver} is {other.family} and works with {' '.join(other.compatible)}",
            f"{file.origin}, {other.origin}",
            {"driver": driver, "cann": cann},
        )


@check
def driver_reported_bad(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A driver and a toolkit that go together by their files and are reported to fail."""
    found = _driver_and_toolkit(subject)
    for row in _rows(subject, *found) if found else ():
        if found and row.level is Level.reported_bad:
            fact = f"CANN {found[1]} on driver {found[0]}: {row.why}"
            values = {"driver": found[0], "cann": found[1]}
            yield Evidence(fact, "version files, catalogue", values)


def _driver_and_toolkit(subject: Subject) -> tuple[str, str] | None:
    driver, toolkit = subject.view.driver, subject.version("cann")
    return (driver.version, toolkit[0]) if driver and toolkit else None


def _rows(subject: Subject, driver: str, cann: str) -> list[Pairing]:
    """The catalogue's rows about the pair, good and bad."""
    return [
        row
        for row in subject.catalog.by_pair.get(("cann", "driver"), ())
        if row.subjects.holds(cann) and row.objects.holds(driver)
    ]


@check
def firmware_off(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A firmware outside of what the driver's file admits, or the other way round."""
    driver, firmware = subject.view.driver, subject.view.firmware
    if driver is None or firmware is None:
        return
    values = {"driver": driver.version, "firmware": firmware.version}
    for one, other, what in ((driver, firmware, "firmware"), (firmware, driver, "driver")):
        if one.partners and within(other.version, one.partners) is False:
            fact = f"{what} {other.version} is outside of {one.partners}"
            yield Evidence(fact, one.origin, values)


@check
def kernels_of_other_chip(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Kernels that were built for other chips than this machine's."""
    wanted, kernels = SOCS.get(subject.view.chip or ""), subject.ascend.component("kernels")
    if wanted and kernels and kernels.socs and wanted not in kernels.socs:
        fact = f"kernels for {', '.join(kernels.socs)}; the chip needs {wanted}"
        values = {"generation": subject.view.chip or "", "cann": kernels.version or ""}
        yield Evidence(fact, kernels.path, values)
    set_for = subject.host.environment.get("SOC_VERSION", "").lower()
    if wanted and set_for and not _soc_fits(set_for, wanted):
        yield Evidence(f"SOC_VERSION is {set_for}; the chip is {wanted}", "environment")


def _soc_fits(given: str, wanted: str) -> bool:
    """``ascend910b1`` is an ``ascend910b``; ``ascend910b`` without a digit is first generation."""
    if wanted == "ascend910":
        return given in ("ascend910", "ascend910a", "ascend910b", "ascend910proa", "ascend910prob")
    return given.startswith(wanted) and not (wanted == "ascend910b" and given == wanted + "_")


@check
def kernels_of_other_version(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Kernels whose version is not the toolkit's."""
    toolkit, kernels = subject.version("cann"), subject.ascend.component("kernels")
    if toolkit is None or kernels is None or not readable(subject.catalog, "cann", kernels.version):
        return
    assert kernels.version is not None, "what is readable is there"
    if not same(toolkit[0], kernels.version):
        fact = f"kernels {kernels.version} beside toolkit {toolkit[0]}"
        values = {"cann": toolkit[0], "generation": subject.view.chip or ""}
        yield Evidence(fact, kernels.path, values)


@check
def kernels_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A toolkit without any kernels, on a machine that was asked for them."""
    toolkit = subject.toolkit
    if toolkit is None or not subject.has_ascend or subject.ascend.component("kernels"):
        return
    if subject.host.system.kernel is None or toolkit.socs:
        return  # nobody looked for kernels, or the toolkit brings its own
    if any(c.kind == "kernels" for c in subject.ascend.components):
        return
    fact = f"CANN toolkit {toolkit.version or ''} in {toolkit.path} has no kernels of any chip"
    values = {"cann": toolkit.version or "", "generation": subject.view.chip or ""}
    yield Evidence(fact, "opp/built-in/op_impl/ai_core/tbe/kernel", values)


@check
def chip_unknown_to_cann(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips that the toolkit has no platform file of, where it has some of others."""
    known = {each.soc.lower() for each in subject.ascend.platform}
    # An A3 and a 950 print a family's name, which is no file's.
    names = {n.name for n in subject.ascend.npus if n.name and not n.name.startswith("Ascend")}
    for name in sorted(names) if known else ():
        if f"ascend{name.lower()}" not in known:
            toolkit = subject.toolkit
            which = f"CANN {toolkit.version}" if toolkit and toolkit.version else "the toolkit"
            fact = f"{which} has no platform file of Ascend{name}"
            yield Evidence(fact, subject.ascend.platform[0].path.rpartition("/")[0])
