"""``save.py YAML OUT.ckpt``: has MindFormers load a model and MindSpore save it again."""

import sys

import mindspore
from mindformers import AutoModel

model = AutoModel.from_config(sys.argv[1])
mindspore.save_checkpoint(model, sys.argv[2])
