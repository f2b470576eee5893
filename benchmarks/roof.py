"""What a machine could do at most: a network's operations, and the peak of matrix products."""

import time

import torch


def operations(model, size):
    """Count a photograph's operations: (forward, training).

    Two for each multiplication with its addition, counted from the layers' shapes. To train is to
    go forward, and backward twice (to the weights and to the inputs), but for the first
    convolution, whose input needs no gradient.
    """
    counts = []

    def count(module, _, output):
        weights = module.weight[0].numel()  # of one output number
        counts.append(2 * weights * output[0].numel())

    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(counts), 3 * sum(counts) - counts[0]


def matmul_peak(device, dtype, sizes, for_s=1.0):
    """Give the operations a second of the fastest square matrix product of these sizes.

    What the machine gives and not what its maker prints; each size is tried for `for_s` seconds.
    """
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    peak = 0.0
    for size in sizes:
        a = torch.randn(size, size, device=device).to(dtype)
        torch.mm(a, a)
        wait()
        begin = time.perf_counter()
        while time.perf_counter() - begin < for_s:
            start = time.perf_counter()
            torch.mm(a, a)
            wait()
            peak = max(peak, 2 * size**3 / (time.perf_counter() - start))
    return peak
