"""Draws docs/images/doctor.svg: paddock doctor on a recorded host with eight 910A and two faults.

The chips are those of the recording tests/hosts/910a-x8-old-layout, with driver 23.0.0 and CANN
7.0.0, which go with them, and two faults: chip 5 reports Alarm, and the kernels are those of the
910B. --check only says if the picture is stale.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from dataclasses import replace
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from paddock.cli import doctor_view
from paddock.deploy.doctor import Report, Subject, diagnose
from paddock.deploy.host import Host, target
from paddock.deploy.host.facts import Component

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images" / "doctor.svg"
WIDTH = 104
ASCEND = "/usr/local/Ascend"

# Without the @font-face rules, which fetch a font from another host when the picture is opened.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.S).replace(
    "font-family: Fira Code, monospace",
    "font-family: 'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace",
)


def ill() -> Host:
    """The recorded host with its two faults."""
    host = target.recorded(ROOT / "tests" / "hosts" / "910a-x8-old-layout")
    assert host.ascend is not None
    npus = list(host.ascend.npus)
    assert len(npus) == 8
    npus[5] = replace(npus[5], health="Alarm")
    toolkit = f"{ASCEND}/ascend-toolkit/latest"
    components = (
        Component("driver", f"{ASCEND}/driver/version.info", version="23.0.0", active=True),
        Component("toolkit", toolkit, version="7.0.0", active=True),
        Component("kernels", f"{toolkit}/opp", "7.0.0", socs=("ascend910b",), active=True),
    )
    return replace(
        host,
        target="ssh://root@npu1",
        hostname="npu1",
        ascend=replace(host.ascend, npus=tuple(npus), components=components),
    )


def render() -> str:
    """The picture."""
    subject = Subject(ill())
    report: Report = diagnose(subject)
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", legacy_windows=False
    )
    console.print(Text("$ paddock doctor --host ssh://root@npu1", style="bold"))
    console.print(doctor_view.view(replace(report, unread=()), subject))
    svg = console.export_svg(title="paddock doctor", code_format=FORMAT, unique_id="doctor")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> int:
    """Draws, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.name} is stale; run scripts/gen_doctor_picture.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
