"""Replace a model's layers in place by ones with faster kernels; weights and names stay, results agree to rounding.

- GPT-2's `gelu_new` takes eight passes over the activations in Transformers; torch has it as one kernel.
- torch multiplies float32 matrices by MKL, which on AMD's processors leaves half of AVX-512 unused; oneDNN, which is
  part of torch, does not: 2.2 times the rate (docs/decisions/0009-kernels.md). On other processors nothing is changed.
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
"""Environment variables for the number of kernels that torch and oneDNN cache; they read them at the first product.
Every batch shape needs kernels of its own, of 0.4 MiB; with the default of 1024, batches of many shapes took 1.4 GiB
more, and were no faster."""


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
    """x @ weight.T + bias by oneDNN; x (..., in), weight (out, in), bias (out); both may be transposed views."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class _Linear(torch.autograd.Function):  # type: ignore[misc]
    """`torch.nn.functional.linear` with forward and backward pass by oneDNN: y = x W^T + b.

    x (..., in), weight (out, in), bias (out). With G the gradient of y: dx = G W, dW = G^T x, db = the sum of G's rows.
    """

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
    """Whether oneDNN's product takes these tensors: plain, float32, on the CPU, not empty, and without autocast."""
    plain = all(type(tensor) in (torch.Tensor, nn.Parameter) for tensor in tensors)
    float32 = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
    return plain and float32 and tensors[0].numel() > 0 and not torch.is_autocast_enabled("cpu")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # Without gradients (sampling), the matrices are small, and recording an autograd node would take notable time.
    result: Tensor = _Linear.apply(x, weight, bias) if torch.is_grad_enabled() else _product(x, weight, bias)
    return result


class FastLinear(nn.Linear):  # type: ignore[misc]
    """`nn.Linear`, multiplied by oneDNN where input and weight are float32 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out)."""
        if not _can_multiply(x, self.weight):
            return super().forward(x)
        return _linear(x, self.weight, self.bias)


class FastConv1D(Conv1D):  # type: ignore[misc]
    """GPT-2's linear layer, with weight (in, out), multiplied by oneDNN where both are float32 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) to (..., out)."""
        if not _can_multiply(x, self.weight):
            return super().forward(x)
        return _linear(x, self.weight.t(), self.bias)


_FAST = {nn.Linear: FastLinear, Conv1D: FastConv1D}
