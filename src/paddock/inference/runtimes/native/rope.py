"""The rotary tables, in numpy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from paddock.inference.checkpoint.config import ModelConfig, RopeScaling

Floats = npt.NDArray[np.float32]


def rotary_table(config: ModelConfig, n_positions: int) -> tuple[Floats, Floats]:
    """cos and sin of each position's angles, each (n_positions, head_dim / 2).

    Frequencies and angles are fp32, as in the reference implementations; cosines and sines of
    them are exact to the last bit.
    """
    half = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = np.float32(1) / np.float32(config.rope_theta) ** half
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "llama3":
        frequencies = llama3_frequencies(frequencies, scaling)
    elif scaling is not None:
        assert scaling.kind == "linear", scaling
        frequencies = frequencies / np.float32(scaling.factor)
    angles = np.outer(np.arange(n_positions, dtype=np.float32), frequencies)
    wide = angles.astype(np.float64)
    return np.cos(wide).astype(np.float32), np.sin(wide).astype(np.float32)


def llama3_frequencies(frequencies: Floats, scaling: RopeScaling) -> Floats:
    """Llama 3.1's rule: slow frequencies are divided by the factor, fast ones are kept.

    Between the two it blends. Source: meta-llama/llama-models ``apply_scaling``; the same values
    in Hugging Face's ``modeling_rope_utils``.
    """
    turns = np.float32(scaling.original_max_seq_len / (2 * math.pi)) * frequencies
    low, high = np.float32(scaling.low_freq_factor), np.float32(scaling.high_freq_factor)
    blend = ((turns - low) / (high - low)).clip(0, 1)
    slow = (1 - blend) * frequencies / np.float32(scaling.factor)
    result: Floats = slow + blend * frequencies
    return result
