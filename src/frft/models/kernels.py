"""Faster kernels for the same functions, put into a model in place; weights and names stay, results within rounding.

- GPT-2's `gelu_new` is eight passes over the activations in Transformers; torch has it as one.
- torch multiplies float32 matrices by MKL, which on AMD's processors leaves half of AVX-512 unused; oneDNN, which torch
  brings along, does not: 2.2 times the rate (docs/decisions/0009-kernels.md). Elsewhere nothing is changed.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from transformers.activations import ACT2FN, NewGELUActivation
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


CACHES = {"LRU_CACHE_CAPACITY": "64", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""How many kernels torch and oneDNN keep; read at the first product. Each size of a batch gets kernels of its own, of
0.4 MiB; of the 1024 that are kept otherwise, batches of many sizes held 1.4 GiB more, and were no faster for it."""


def with_fast_kernels(model: PreTrainedModel) -> PreTrainedModel:
    """Replace the model's activations and linear layers by faster ones, in place; returns `model`."""
    if prefers_onednn():
        for name, capacity in CACHES.items():
            os.environ.setdefault(name, capacity)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, ACT2FN["gelu_pytorch_tanh"])
            elif prefers_onednn() and type(child) in _FAST:
                # The class is exchanged and not the module: hooks, tied weights and whatever else refers to it stay.
                child.__class__ = _FAST[type(child)]
    return model


@functools.cache
def prefers_onednn() -> bool:
    """Whether this is a processor on which oneDNN multiplies float32 matrices much faster than MKL."""
    cpus = Path("/proc/cpuinfo")
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and cpus.exists()
        and "AuthenticAMD" in cpus.read_text(errors="replace")
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x @ weight.T + bias by oneDNN; either may be a transposed view."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class _Linear(torch.autograd.Function):  # type: ignore[misc]
    """`torch.nn.functional.linear` by oneDNN, there and back; x (..., in), weight (out, in), bias (out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = for_weight = for_bias = None
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[0]:
            for_x = _product(gradient, weight.t(), None)
        if ctx.needs_input_grad[1]:
            for_weight = _product(rows.t(), x.reshape(-1, x.shape[-1]).t(), None)
        if ctx.needs_input_grad[2]:
            for_bias = rows.sum(0)
        return for_x, for_weight, for_bias


def _can_multiply(*tensors: Tensor) -> bool:
    plain = all(type(tensor) in (torch.Tensor, nn.Parameter) for tensor in tensors)
    float32 = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
    return plain and float32 and tensors[0].numel() > 0 and not torch.is_autocast_enabled("cpu")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # Sampling multiplies small matrices, beside which a node of the graph that nobody needs takes time.
    result: Tensor = _Linear.apply(x, weight, bias) if torch.is_grad_enabled() else _product(x, weight, bias)
    return result


class FastLinear(nn.Linear):  # type: ignore[misc]
    """`nn.Linear`, by oneDNN where it reads float32 on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out)."""
        if not _can_multiply(x, self.weight):
            return super().forward(x)
        return _linear(x, self.weight, self.bias)


class FastConv1D(Conv1D):  # type: ignore[misc]
    """GPT-2's linear layer, whose weight is (in, out), by oneDNN where it reads float32 on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out)."""
        if not _can_multiply(x, self.weight):
            return super().forward(x)
        return _linear(x, self.weight.t(), self.bias)


_FAST = {nn.Linear: FastLinear, Conv1D: FastConv1D}
