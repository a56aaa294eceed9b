"""What ``mindspore.Tensor`` is to a program that only passes token ids around: a numpy array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

int32 = np.dtype("int32")
"""``mindspore.int32``."""


class Tensor(np.ndarray[Any, np.dtype[Any]]):
    """A numpy array made as MindSpore's Tensor is: ``Tensor(data, dtype)``."""

    def __new__(cls, input_data: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Tensor:
        """A copy of ``input_data``."""
        return np.array(input_data, dtype=dtype).view(cls)

    def asnumpy(self) -> npt.NDArray[Any]:
        """The same memory as a plain numpy array."""
        return self.view(np.ndarray)
