"""Which experts a token goes to."""

import torch
from torch import Tensor, nn


class Router(nn.Module):
    """DeepSeek-V3's router: sigmoid affinities, top-k of affinity + bias, gates from the affinities alone.

    The bias steers the choice, not the gates, and is moved after each training step against the load
    (auxiliary-loss-free balancing, arXiv:2408.15664).
    """

    bias: Tensor

    def __init__(self, hidden_width: int, experts: int, top_k: int) -> None:
        super().__init__()
        if not 1 <= top_k <= experts:
            raise ValueError(f"top_k must lie between 1 and {experts} experts, not {top_k}")
        self.top_k = top_k
        self.affinity = nn.Linear(hidden_width, experts, bias=False)
        self.register_buffer("bias", torch.zeros(experts))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """hidden (..., width) → gates (..., experts), zero for experts not chosen, and affinities likewise.

        A token's gates add up to top_k, so that an expert counts once on average: an upcycled
        block starts at the scale of the dense one.
        """
        scores = self.affinity(hidden).float().sigmoid()  # (..., experts)
        chosen = (scores + self.bias).topk(self.top_k, dim=-1).indices  # (..., top_k)
        kept = torch.zeros_like(scores).scatter(-1, chosen, scores.gather(-1, chosen))
        gates = kept * (self.top_k / kept.sum(-1, keepdim=True).clamp_min(1e-9))
        return gates, scores

    @torch.no_grad()
    def rebalance(self, load: Tensor, rate: float) -> None:
        """Make overloaded experts less likely; load (experts,) is each one's share of the choices."""
        self.bias += rate * torch.sign(load.mean() - load)
