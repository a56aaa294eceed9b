"""Builds the C++ code that makes decoding on CPUs fast; everything else is in pyproject.toml.

Optional: where no compiler is found the installation succeeds and PyTorch's operations serve.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            # Loaded with ctypes, not imported; the name puts the library beside kernels/library.py.
            "paddock.inference.kernels._native",
            sources=["native/decode.cpp", "native/matrices.cpp", "native/products.cpp"],
            depends=[
                f"native/{name}.h"
                for name in (
                    "dots",
                    "kernels",
                    "lanes",
                    "matrix",
                    "pool",
                    "products",
                    "quantize",
                    "target",
                )
            ],
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
