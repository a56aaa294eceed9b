"""The pages and the picture that are made from the rules are fresh and fetch nothing."""

from __future__ import annotations

import re

import gen_doctor_picture
import gen_rules_docs


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
