"""Builds the C++ library of the native runtime; everything else is in pyproject.toml.

Optional: where no compiler is found the installation succeeds and PyTorch serves if it is there.
"""

from pathlib import Path

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            # Loaded with ctypes, not imported; the name puts the library beside kernels/library.py.
            "paddock.inference.kernels._native",
            sources=[f"native/{name}.cpp" for name in ("matrices", "paddock", "products", "rows")],
            depends=[str(path) for path in sorted(Path("native").glob("*.h"))],
            language="c++",
            extra_compile_args=[
                "-std=c++17",
                "-O3",
                # Multiply and add in one instruction where there is one.
                "-ffp-contract=fast",
                "-fno-math-errno",
                "-fvisibility=hidden",
                "-Wno-psabi",
                "-g0",
            ],
            extra_link_args=["-pthread"],
            optional=True,
        )
    ]
)
