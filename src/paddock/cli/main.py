"""Where ``paddock`` starts and where every failure becomes one line and an exit code.

Exit codes: 0 done, 1 it failed, 2 it was asked for wrongly, 130 stopped by Ctrl-C, 141 whoever read
the output went away.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from paddock.cli import failures, render

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (``sys.argv`` if none is given) and returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    options = args[: args.index("--")] if "--" in args else args
    render.setup_streams()
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        render.detach_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as stop:  # shell completion ends this way
        return stop.code if isinstance(stop.code, int) else 0
    except Exception as error:
        if "--debug" in options:
            import traceback

            traceback.print_exc()
        failure = failures.explain(error)
        try:
            render.failure(failure, as_json="--json" in options or "--stream-json" in options)
        except BrokenPipeError:
            render.detach_stdout()
        return failure.exit_code
    return code


def _run(args: list[str]) -> int:
    from paddock.cli.app import command

    result = command().main(args=args, prog_name="paddock", standalone_mode=False)
    return result if isinstance(result, int) else 0
