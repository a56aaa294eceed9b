"""Answers of machines that are not at hand, made of the parts that a test is about."""

from __future__ import annotations

from paddock.deploy.host import frames
from paddock.deploy.host.frames import Answer, Frame


def answer(**texts: str) -> Answer:
    return parts(*(Frame(name, text) for name, text in texts.items()))


def parts(*asked: Frame) -> Answer:
    return frames.parse(frames.compose(asked))
