"""What the processor at hand can do."""

import torch


def has_matrix_unit() -> bool:
    """Whether it multiplies matrices in bfloat16 by itself (AMX)."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
