"""What a processor's multipliers can do: the floor beside which a network's speed is put."""

import time

import torch


def matrix_rate(device: torch.device) -> float:
    """FLOP/s of a product of large matrices, the best of five: bf16 on a GPU, fp32 on a CPU."""
    on_gpu = device.type == "cuda"
    side = 8192 if on_gpu else 1536
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if on_gpu else None)
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(4):
            matrix @ matrix
        if on_gpu:
            torch.cuda.synchronize(device)
        rates.append(4 * 2 * side**3 / (time.perf_counter() - began))
    return max(rates)
