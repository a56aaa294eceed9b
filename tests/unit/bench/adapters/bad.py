"""Fails in the way that its variant's ``how`` names."""

import os
import sys
import time

DISTRIBUTION = "no-such-distribution"
MODULE = "json"


def open(model, threads, length, batch, variant):
    if variant["how"] == "no model":
        raise ValueError(f"cannot read {model}")
    return Engine(variant["how"])


class Engine:
    weights = "none at all"

    def __init__(self, how):
        self.how = how

    def run(self, prompts, new_tokens):
        if self.how == "killed":
            os.kill(os.getpid(), 9)
        if self.how == "exits":
            print("out of patience", file=sys.stderr)
            os._exit(3)
        if self.how == "hangs":
            time.sleep(600)
        if self.how == "raises":
            raise RuntimeError("no kernel for this")
        if self.how == "not JSON":
            return object(), []
        times = [0.001 * (i + 1) for i in range(new_tokens)]
        tokens = [5] * new_tokens
        if self.how == "short":
            tokens, times = tokens[:-1], times[:-1]
        if self.how == "outside":
            tokens[-1] = 1 << 20
        if self.how == "backwards":
            times.reverse()
        if self.how == "too slow":
            times = [60.0 + i for i in range(new_tokens)]
        if self.how == "too quick":
            time.sleep(1.0)
        return [tokens for _ in prompts], [times for _ in prompts]
