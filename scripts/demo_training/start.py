"""The weights to begin with, because copying from the text is found late from random ones.

Besides the usual random start, three things are set so that a name can be repeated early on:
every head writes back what it reads (``o_proj`` is ``v_proj`` turned round, and ``lm_head`` equals
the embedding but for its size), two heads of the first layer look at the last token and the one
before it, and two heads of the second layer look for the place where the present token stood
before. Together the latter are an induction head: C. Olsson et al., "In-context Learning and
Induction Heads", 2022. Training is free to change all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .network import ROPE_THETA, Attention, Network
from .plan import Plan

# The first channel of every embedding has this value, so that heads can rely on a constant.
CONSTANT = 4.0
# Strength of the head: with it, the right token is about four nats ahead where it is copied.
HEAD_LENGTH = 6.0
# Strengths of the two kinds of heads; measured to look at the right place mostly, not always.
POSITION_STRENGTH, MATCH_STRENGTH, MEMORY_STRENGTH = 1.7, 4.0, 1.0
# How much louder than the others the heads write that find a token again.
COPY_STRENGTH = 1.0
# Pairs of channels that RoPE turns fast enough to tell neighbours apart.
FAST_PAIRS_SHARE = 0.28


def _random(weight: Tensor, scale: float = 1.0) -> None:
    weight.normal_(0.0, scale * weight.shape[1] ** -0.5)


def _copying(attention: Attention, plan: Plan) -> None:
    """Every head writes what it reads, so that attention means copying from the start."""
    values = attention.v_proj.weight.view(plan.kv_heads, plan.head_dim, plan.hidden_size)
    every = values.repeat_interleave(plan.heads // plan.kv_heads, 0)
    attention.o_proj.weight.copy_(every.reshape(plan.hidden_size, plan.hidden_size).T)


def _look_back(attention: Attention, plan: Plan) -> Tensor:
    """The heads of the first key/value head look 1, 2, ... tokens back; returns where they write.

    The result, ``(hidden, heads of the group, head_dim)``, has orthogonal columns.
    """
    group, half = plan.heads // plan.kv_heads, plan.head_dim // 2
    pairs = max(1, round(half * FAST_PAIRS_SHARE))
    speeds = ROPE_THETA ** (-torch.arange(half)[:pairs] / half)
    q = attention.q_proj.weight.view(plan.heads, plan.head_dim, plan.hidden_size)
    k = attention.k_proj.weight.view(plan.kv_heads, plan.head_dim, plan.hidden_size)
    o = attention.o_proj.weight.view(plan.hidden_size, plan.heads, plan.head_dim)
    k[0] = 0
    k[0, :pairs, 0] = POSITION_STRENGTH
    for head in range(group):
        q[head] = 0
        q[head, :pairs, 0] = POSITION_STRENGTH * torch.cos(speeds * (head + 1))
        q[head, half : half + pairs, 0] = -POSITION_STRENGTH * torch.sin(speeds * (head + 1))
    wide = torch.randn(plan.hidden_size, group * plan.head_dim)
    memory = torch.linalg.qr(wide)[0].view(plan.hidden_size, group, plan.head_dim)
    memory[0] = 0
    o[:, :group] = memory * MEMORY_STRENGTH
    return memory


def _find_again(attention: Attention, plan: Plan, memory: Tensor, read: Tensor) -> None:
    """Keys are what ``_look_back`` wrote, queries the present token in the same terms (``read``).

    Only the channels that RoPE turns slowly are used, for a match has to hold at any distance.
    """
    half = plan.head_dim // 2
    slow = [*range(half // 2, half), *range(half + half // 2, plan.head_dim)]
    q = attention.q_proj.weight.view(plan.heads, plan.head_dim, plan.hidden_size)
    k = attention.k_proj.weight.view(plan.kv_heads, plan.head_dim, plan.hidden_size)
    q.zero_()
    k.zero_()
    q[:, slow] = read[slow] * MATCH_STRENGTH
    k[:, slow] = memory[:, 0].T[slow] * MATCH_STRENGTH
    attention.o_proj.weight *= COPY_STRENGTH


@torch.no_grad()
def fresh(plan: Plan, dtype: torch.dtype) -> Network:
    """A network with its first weights, which depend on the seed alone."""
    torch.manual_seed(plan.seed)
    network = Network(plan, dtype)
    embedding = network.model.embed_tokens.weight
    embedding.normal_()
    # Equal lengths, so that the constant channel is the same for every token behind a norm.
    embedding /= embedding.square().mean(1, keepdim=True).sqrt()
    network.lm_head.weight.copy_(embedding * (HEAD_LENGTH / plan.hidden_size))
    embedding[:, 0] = CONSTANT
    network.lm_head.weight[:, 0] = 0
    for layer in network.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for matrix in (attention.q_proj, attention.k_proj, attention.v_proj):
            _random(matrix.weight)
        _copying(attention, plan)
        _random(mlp.gate_proj.weight)
        _random(mlp.up_proj.weight)
        _random(mlp.down_proj.weight, (2 * plan.layers) ** -0.5)
        for matrix in (attention.o_proj, mlp.down_proj):
            matrix.weight[0] = 0
    first, second = (network.model.layers[i].self_attn for i in (0, 1))
    memory = _look_back(first, plan)
    _find_again(second, plan, memory, first.v_proj.weight[: plan.head_dim])
    return network
