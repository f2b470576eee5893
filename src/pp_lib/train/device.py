"""Where to compute, and randomness that leaves the caller's alone."""

from contextlib import contextmanager

import torch


def choose_device(device=None):
    """Give `device` as a torch.device; if None, the GPU where there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def seeded(seed):
    """Seed torch's global random state for a while and put the caller's back afterwards.

    Dropout, transforms and data loaders draw from the global state; there is no other way to
    pass them a seed.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
