"""Builds the C++ code (decoding on CPUs, the benchmark's ceilings); all else is in pyproject.toml.

Optional: where no compiler is found the installation succeeds and PyTorch's operations serve.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            # Loaded with ctypes as well: what a machine can do at most, for `paddock bench`.
            "paddock.bench._ceilings",
            sources=["native/ceilings.cpp"],
            depends=["native/pool.h"],
            language="c++",
            extra_compile_args=["-std=c++17", "-O3", "-fvisibility=hidden", "-g0"],
            extra_link_args=["-pthread"],
            optional=True,
        ),
        Extension(
            # Loaded with ctypes, not imported; the name puts the library beside native.py.
            "paddock.inference.runtimes.torch._decode",
            sources=["native/decode.cpp"],
            depends=["native/kernels.h", "native/pool.h"],
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
