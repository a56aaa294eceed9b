"""The optimizer of the matrices: at this size it learns in fewer steps than AdamW does."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# Coefficients and form of the Newton-Schulz iteration: K. Jordan, "Muon: An optimizer for hidden
# layers in neural networks", https://kellerjordan.github.io/posts/muon/ (2024).
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonal(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest half-orthogonal matrices, roughly; ``matrices`` is a stack of equal shapes."""
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(dtype)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        mixed = torch.baddbmm(square, square, square, beta=B, alpha=C)
        x = torch.baddbmm(x, mixed, x, beta=A)
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, so that every direction of a matrix learns."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, momentum: float, dtype: torch.dtype
    ) -> None:
        """``dtype`` is the number format of the iteration."""
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
        groups = [{"params": same} for same in by_shape.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all matrices; those of one shape are iterated together."""
        for group in self.param_groups:
            first = group["params"][0]
            gradients = torch.stack([p.grad for p in group["params"]])
            state = self.state[first]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradients)
            mean = state["momentum"].lerp_(gradients, 1 - group["momentum"])
            steps = orthogonal(gradients.lerp(mean, group["momentum"]), self.dtype)
            scale = max(1.0, first.shape[0] / first.shape[1]) ** 0.5
            for matrix, change in zip(group["params"], steps, strict=True):
                matrix.add_(change, alpha=-group["lr"] * scale)
