"""Answers as it should, and prints where it should not."""

import time

DISTRIBUTION = "no-such-distribution"
MODULE = "json"


def open(model, threads, length, batch, variant):
    return Engine(variant.get("sleep", 0.001))


class Engine:
    weights = "none at all"

    def __init__(self, sleep):
        self.sleep = sleep

    def run(self, prompts, new_tokens):
        print("engines print; answers must stay clean")
        begin = time.perf_counter()
        tokens, times = [], []
        for i in range(new_tokens):
            time.sleep(self.sleep)
            tokens.append(3 + i)
            times.append(time.perf_counter() - begin)
        return [tokens for _ in prompts], [times for _ in prompts]
