"""Measure the rate of matrix products of a device, as the upper bound of a network's speed."""

import time

import torch


def matrix_rate(device: torch.device) -> float:
    """Return the FLOP/s of a product of large matrices: bf16 on a GPU, fp32 on a CPU; best of five."""
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
