"""Writes the model card again from the training log of a model folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from demo_training.card import model_card


def main() -> int:
    """``demo_model_card.py MODEL_FOLDER``."""
    if len(sys.argv) != 2:
        print("usage: demo_model_card.py MODEL_FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    log = json.loads((folder / "training_log.json").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(model_card(log, quick=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
