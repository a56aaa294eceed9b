"""The pages and the picture that are made from the rules are fresh and fetch nothing."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from doctor_cases import KEYS

import gen_doctor_picture
import gen_rules_docs
from paddock.deploy import doctor
from paddock.deploy.doctor.checks import CHECKS
from paddock.deploy.doctor.load import DATA

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "doctor.md"


def test_the_reference_is_fresh() -> None:
    page = gen_rules_docs.TARGET.read_text(encoding="utf-8")
    assert page == gen_rules_docs.render(), "run scripts/gen_rules_docs.py"


def test_the_picture_is_fresh() -> None:
    picture = gen_doctor_picture.TARGET.read_text(encoding="utf-8")
    assert picture == gen_doctor_picture.render(), "run scripts/gen_doctor_picture.py"


def test_the_picture_fetches_nothing() -> None:
    picture = gen_doctor_picture.TARGET.read_text(encoding="utf-8")
    assert "@font-face" not in picture
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", picture)
    assert not re.search(r"(?:href|src)\s*=", picture)


def test_the_picture_shows_two_faults() -> None:
    picture = gen_doctor_picture.TARGET.read_text(encoding="utf-8").replace("&#160;", " ")
    assert "[chip-alarm]" in picture
    assert "[built-for-other-chip]" in picture
    assert re.search(r">2 block<", picture)


def test_the_example_of_the_guide_is_a_rule(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)
    ours = (DATA / "libraries.toml").read_text(encoding="utf-8")
    python = (DATA / "python.toml").read_text(encoding="utf-8")
    (tmp_path / "libraries.toml").write_text(ours + example, encoding="utf-8")
    (tmp_path / "python.toml").write_text(python, encoding="utf-8")
    rules = {rule.id: rule for rule in doctor.load(tmp_path)}
    (found,) = doctor.read_log("libfoo.so.1: cannot open", rules=(rules["libfoo-not-found"],))
    assert found.fixes[0].run == "ls -l /usr/local/Ascend/libfoo.so.1"
    assert found.fixes[0].safe


def test_the_guide_names_checks_and_keys_that_exist() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    table = text.partition("| check | finds")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.M)) <= CHECKS.keys()
    (cases,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    assert all(entry.keys() <= KEYS for entry in yaml.safe_load(cases))
