"""The Llama network in a lean form for training; its tensors bear the names of transformers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plan import Plan
from .rows import PADDING

EPSILON = 1e-5
ROPE_THETA = 10000.0


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), EPSILON)


class Matrix(nn.Module):
    """A linear map without bias: weights in fp32, product in the number format of the input."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Attention(nn.Module):
    """Causal attention with grouped queries.

    Written out, because PyTorch's fused kernel is slower on a processor at these sizes (4,071
    against 3,168 tokens/s of a whole training step with 256 tokens in a row).
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = plan.heads, plan.kv_heads, plan.head_dim
        kv_width = plan.kv_heads * plan.head_dim
        self.q_proj = Matrix(plan.hidden_size, plan.hidden_size)
        self.k_proj = Matrix(kv_width, plan.hidden_size)
        self.v_proj = Matrix(kv_width, plan.hidden_size)
        self.o_proj = Matrix(plan.hidden_size, plan.hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        turned = self.heads + self.kv_heads
        weights = [self.q_proj.weight, self.k_proj.weight, self.v_proj.weight]
        qkv = F.linear(x, torch.cat(weights).to(x.dtype))
        qkv = qkv.view(batch, length, -1, self.head_dim).transpose(1, 2)
        first, second = qkv[:, :turned].chunk(2, dim=-1)
        qk = qkv[:, :turned] * cos + torch.cat([-second, first], dim=-1) * sin
        q = qk[:, : self.heads] * self.head_dim**-0.5
        q = q.reshape(batch, self.kv_heads, -1, self.head_dim)
        scores = (q @ qk[:, self.heads :].mT).view(batch, self.heads, length, length) + mask
        share = scores.softmax(-1).view(batch, self.kv_heads, -1, length)
        mixed = (share @ qkv[:, turned:]).view(batch, self.heads, length, self.head_dim)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.gate_proj = Matrix(plan.intermediate_size, plan.hidden_size)
        self.up_proj = Matrix(plan.intermediate_size, plan.hidden_size)
        self.down_proj = Matrix(plan.hidden_size, plan.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One layer: attention and feed-forward part, each behind its norm."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.self_attn = Attention(plan)
        self.mlp = FeedForward(plan)
        self.input_layernorm = Norm(plan.hidden_size)
        self.post_attention_layernorm = Norm(plan.hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Everything but the head."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.embed_tokens = Matrix(plan.vocab_size, plan.hidden_size)
        self.layers = nn.ModuleList(Layer(plan) for _ in range(plan.layers))
        self.norm = Norm(plan.hidden_size)


class Network(nn.Module):
    """The whole network; ``dtype`` is the number format of its products."""

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.model = Body(plan)
        self.lm_head = Matrix(plan.vocab_size, plan.hidden_size)
        speeds = ROPE_THETA ** (-torch.arange(0, plan.head_dim, 2) / plan.head_dim)
        angles = torch.outer(torch.arange(plan.long_row), speeds).repeat(1, 2)
        self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
        self.register_buffer("sin", angles.sin().to(dtype), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, ``(batch, length, vocabulary)``, for ``tokens`` of ``(batch, length)``."""
        length = tokens.shape[1]
        mask = torch.full((length, length), -math.inf, dtype=self.dtype).triu(1)
        x = F.embedding(tokens, self.model.embed_tokens.weight).to(self.dtype)
        for layer in self.model.layers:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        return self.lm_head(self.model.norm(x))

    def loss(self, tokens: Tensor) -> Tensor:
        """The sum of the losses of all tokens but the first of a row and the padding."""
        logits = self(tokens)[:, :-1].flatten(0, 1).float()
        wanted = tokens[:, 1:].flatten()
        return F.cross_entropy(logits, wanted, ignore_index=PADDING, reduction="sum")
