"""The framed answer: whole ones come back exactly, damaged ones with notes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.deploy.host import frames
from paddock.deploy.host.frames import Frame
from paddock.errors import RunnerError

LINES = st.characters(exclude_categories=["Cs", "Cc"])
FRAMES = st.lists(
    st.builds(
        Frame,
        name=st.text(LINES, min_size=1).map(lambda name: "ask " + name),
        text=st.text(LINES | st.just("\n")).map(lambda text: text.rstrip("\n")),
        exit_code=st.integers(-64, 255),
        modified=st.none() | st.integers(0, 2**33).map(float),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(FRAMES)
def test_compose_and_parse_are_inverse(parts: list[Frame]) -> None:
    answer = frames.parse(frames.compose(parts))
    assert [f for f in answer.frames if f.name.startswith("ask ")] == parts
    assert answer.notes == ()


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_cut_answer_keeps_what_is_whole(parts: list[Frame], data: st.DataObject) -> None:
    document = frames.compose(parts)
    end = data.draw(st.integers(30, len(document) - 1))
    answer = frames.parse(document[:end])
    assert answer.notes
    whole = frames.parse(document).frames
    # A body may itself look like a header; without that a frame is whole or missing.
    if not any("@@ " in part.text for part in parts):
        assert answer.frames == whole[: len(answer.frames)]


def test_a_body_that_looks_like_a_header_is_a_body() -> None:
    part = Frame("ask", "@@ 0 3 - other\nabc\n@@ 1 0 - third")
    assert part in frames.parse(frames.compose([part])).frames


def test_what_a_login_shell_prints_first_is_passed_over() -> None:
    answer = frames.parse(
        b"Welcome to npu1!\n@@ not a header\n" + frames.compose([Frame("a", "b")])
    )
    assert answer.get("a") == Frame("a", "b")
    assert "prints 32 characters" in answer.notes[0].why


def test_a_damaged_frame_costs_itself_alone() -> None:
    document = frames.compose([Frame("a", "aaaa"), Frame("b", "bbbb"), Frame("c", "cccc")])
    answer = frames.parse(document.replace(b"bbbb", b"bb"))
    assert [f.name for f in answer.frames if len(f.name) == 1] == ["a", "c"]
    assert [note.what for note in answer.notes] == ["b"]


@pytest.mark.parametrize("document", [b"", b"sh: not found\n", b"@@ 0 1 - other\nx\n"])
def test_no_answer_at_all(document: bytes) -> None:
    with pytest.raises(RunnerError, match="did not answer the probe"):
        frames.parse(document)


def test_a_group_that_was_not_finished_is_noted() -> None:
    answer = frames.parse(frames.compose([]).replace(b"end engines", b"end of nothing"))
    assert [note.what for note in answer.notes] == ["engines"]


def test_terminal_commands_are_taken_out() -> None:
    answer = frames.parse(frames.compose([Frame("a", "\x1b]0;x\x07red\tb\nc")]))
    assert answer.get("a") == Frame("a", "\ufffd]0;x\ufffdred\tb\nc")


def test_files_know_where_they_really_are() -> None:
    frame = Frame("file /a/latest/x => /a/8.2/x", "text")
    assert (frame.path, frame.real_path) == ("/a/latest/x", "/a/8.2/x")
    assert Frame("file /a/x", "").real_path == "/a/x"
