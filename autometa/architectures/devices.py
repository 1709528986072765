"""Where a network is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def training_device(gpus: float) -> Iterator[torch.device]:
    """The GPU that this process was given, where torch sees one; else the CPU.

    Args:
        gpus: how many were given, or the share of one, whose memory is then held to that share; 0 for none.
    """
    if not gpus or not torch.cuda.is_available():
        yield torch.device("cpu")
        return
    device = torch.device("cuda", 0)
    torch.cuda.set_per_process_memory_fraction(min(1.0, gpus), device)
    try:
        yield device
    finally:
        # Others share the card, and this process may wait for its next fit.
        torch.cuda.empty_cache()
