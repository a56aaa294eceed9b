"""``python standins.py FILE.py YAML PROGRAM …``: a user's program in MindFormers' own environment.

FILE is the worker's cpu_standins.py. YAML, unless it is -, is put where the program's
``pipeline(model="llama2_7b")`` looks, which takes the 7B one of the wheel otherwise.
"""

import importlib
import importlib.util
import runpy
import sys

_, file, described, *sys.argv = sys.argv
spec = importlib.util.spec_from_file_location("cpu_standins", file)
standins = importlib.util.module_from_spec(spec)
spec.loader.exec_module(standins)
standins.before_import()
importlib.import_module("mindformers")
standins.after_import((1, 0, 0))
if described != "-":
    pipelines = sys.modules["mindformers.pipeline.pipeline"].SUPPORT_PIPELINES
    pipelines["text_generation"]["llama2_7b"] = described
runpy.run_path(sys.argv[0], run_name="__main__")
