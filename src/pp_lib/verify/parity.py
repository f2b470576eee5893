"""Gradients by hand beside those of PyTorch's autograd: of one loss, and of the whole model."""

import copy
from typing import NamedTuple

import numpy as np

from pp_lib import nn
from pp_lib.nn.conv import AdaptiveAvgPool2d, Conv2d, MaxPool2d
from pp_lib.verify.differences import alike, number

# The worst relative error of all 36 arrays: 32 layers deep, sums of up to 25,088 products are
# made in another order. Measured: some 100 roundings; what is allowed is 1,000 times that.
RTOL_VGG16 = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4}

DECIDING = (nn.ReLU, MaxPool2d)  # their derivative jumps where their input crosses a tie


class ParityRow(NamedTuple):
    """How well one array of a computation agrees with PyTorch's.

    `max_relative_error` is the largest difference, relative to the array's largest number: a sum
    that cancels to nearly nothing has few right digits in either library, and which ones is chance.
    `ties` counts what `vgg16_parity` settled behind this layer, on the row of its weight.
    """

    name: str
    shape: tuple
    count: int
    max_relative_error: float
    ties: int = 0


def torch_parity(function_numpy, function_torch, *arrays):
    """Compare a loss and its gradients, written by hand, with PyTorch's.

    Parameters
    ----------
    function_numpy : callable
        ``function_numpy(*arrays) -> (loss, gradients)``, one gradient for each float array.
    function_torch : callable
        ``function_torch(*tensors) -> loss``, a tensor of one number.
    *arrays : numpy.ndarray
        Float arrays are differentiated by; others (class indices, masks) are handed through.

    Returns
    -------
    list of ParityRow
        ``loss``, then ``gradient 0``, ``gradient 1`` and so on, numbered as the arrays are.

    Raises
    ------
    ValueError
        If the number of gradients or a shape is not as said here.

    Notes
    -----
    Chapters 9 and 11. Parity sees what finite differences cannot: a right gradient of a wrong loss.
    """
    import torch

    loss, gradients = function_numpy(*(a.copy() for a in arrays))
    tensors = [torch.tensor(a) for a in arrays]
    floats = {i: t.requires_grad_() for i, t in enumerate(tensors) if t.is_floating_point()}
    loss_torch = function_torch(*tensors)
    if loss_torch.numel() != 1:
        raise ValueError(f"function_torch must give one number, got {tuple(loss_torch.shape)}")
    if len(gradients) != len(floats):
        raise ValueError(
            f"function_numpy must give {len(floats)} gradients, one for each float array, got "
            f"{len(gradients)}"
        )
    references = torch.autograd.grad(
        loss_torch, list(floats.values()), allow_unused=True, materialize_grads=True
    )
    rows = [_parity("loss", number(loss), loss_torch.item())]
    for i, gradient, reference in zip(floats, gradients, references, strict=True):
        rows.append(_parity(f"gradient {i}", gradient, reference.numpy()))
    return rows


def vgg16_parity(model, batch, *, masks=None, dtype=np.float64, settle_ties=True):
    """Compare every partial derivative of the whole model, by hand in NumPy, with PyTorch's.

    The loss is the sum of the three heads' cross-entropies, each a mean over the batch. Both sides
    compute on the CPU in `dtype` with the model's weights; the model itself stays as it is.

    A ReLU whose input is 0 to within rounding, or a pooling window whose two largest numbers are
    equal to within rounding, may go one way here and the other way in PyTorch. Each then gives the
    derivative of another smooth piece of the same function, and neither is wrong; in float32 one
    such unit among millions can change a row by 1 %. So these layers take their decision again,
    from PyTorch's rounding of their input, and the changed ones are counted.

    Parameters
    ----------
    model : pp_lib.train.ThreeHeadVGG16
    batch : pair
        Photographs (B, 3, H, W), standardised; dict of class indices, head -> (B,).
    masks : pair of numpy.ndarray of bool, (B, 512) and (B, 256), optional
        Which shared units dropout keeps. Left out, nothing is dropped, as in evaluation.
    dtype : float64 or float32
        `RTOL_VGG16` says how large an error each allows.
    settle_ties : bool
        Whether ties are settled. Only where the inputs of both sides agree to within `RTOL_VGG16`,
        so that an error in a layer before is not covered up.

    Returns
    -------
    list of ParityRow
        36 rows, named and ordered as ``model.named_parameters()``; the counts add up to 27,693,897.

    Raises
    ------
    ValueError
        If the model, the photographs, the classes or the masks are not as said here.

    Notes
    -----
    Chapter 15.
    """
    import torch

    from pp_lib.train import ThreeHeadVGG16

    if not isinstance(model, ThreeHeadVGG16):
        raise ValueError(f"model must be a ThreeHeadVGG16, got {type(model).__name__}")
    x, y, masks = _checked(*batch, masks, dtype)
    dtype_torch = torch.from_numpy(x).dtype
    twin = copy.deepcopy(model).cpu().to(dtype_torch).requires_grad_(True)
    trunk, heads = _layers_by_hand(twin, masks)
    inputs, dlogits = _forward_by_hand(trunk, heads, x, y)
    references, inputs_torch = _gradients_by_torch(twin, x, y, masks)
    ties = _settle_ties(trunk, inputs, inputs_torch) if settle_ties else {}
    by_hand = _backward_by_hand(trunk, heads, dlogits)
    return [_parity(n, by_hand[n], g, ties.get(n, 0)) for n, g in references.items()]


def _checked(images, classes, masks, dtype):
    x = np.asarray(images)
    if dtype not in list(RTOL_VGG16):
        raise ValueError(f"dtype must be float64 or float32, got {dtype}")
    if x.dtype.kind != "f":
        raise ValueError(f"photographs must be floating and standardised, got {x.dtype}")
    if not isinstance(classes, dict) or any(np.ndim(c) != 1 for c in classes.values()):
        raise ValueError(f"classes must be a dict, head -> (B,), got {classes!r}")
    if masks is not None and len(masks) != 2:
        raise ValueError(f"masks must be two, one for each dropout, got {len(masks)}")
    y = {head: np.asarray(c) for head, c in classes.items()}
    return x.astype(dtype), y, masks and tuple(map(np.asarray, masks))


def _by_hand(module):
    """Give the NumPy layer that does what a layer of PyTorch does, with the same parameters."""
    from torch import nn as torch_nn

    values = {name: p.detach().numpy() for name, p in module.named_parameters()}
    rng, dtype = np.random.default_rng(), next(iter(values.values()), np.empty(0)).dtype
    match module:
        case torch_nn.Conv2d():
            sizes = module.in_channels, module.out_channels, module.kernel_size
            layer = Conv2d(*sizes, module.stride, module.padding, rng=rng, dtype=dtype)
        case torch_nn.Linear():
            layer = nn.Linear(module.in_features, module.out_features, rng=rng, dtype=dtype)
        case torch_nn.MaxPool2d():
            layer = MaxPool2d(module.kernel_size, module.stride)
        case torch_nn.AdaptiveAvgPool2d():
            layer = AdaptiveAvgPool2d(module.output_size)
        case torch_nn.Dropout():
            layer = nn.Dropout(module.p)
        case torch_nn.ReLU():
            layer = nn.ReLU()
        case _:
            raise ValueError(f"no layer of pp_lib.nn does what {module} does")
    for name, parameter in layer.parameters().items():
        parameter.value = values[name]
    return layer


def _layers_by_hand(model, masks):
    """Give the trunk, up to what the heads share, and the heads: dicts, name -> NumPy layer."""
    trunk = {f"features.{i}": _by_hand(m) for i, m in enumerate(model.features)}
    trunk |= {"avgpool": _by_hand(model.avgpool), "flatten": nn.Flatten()}
    trunk |= {f"shared.{i}": _by_hand(m) for i, m in enumerate(model.shared)}
    dropouts = [layer for layer in trunk.values() if isinstance(layer, nn.Dropout)]
    for layer, mask in zip(dropouts, masks or (None, None), strict=True):
        layer.train(mask is not None).mask = mask
    return trunk, {f"heads.{head}": _by_hand(m) for head, m in model.heads.items()}


def _forward_by_hand(trunk, heads, x, y):
    """Give the input of every layer that decides, by its name, and dL/d(logits) by head."""
    inputs = {}
    for name, layer in trunk.items():  # (B, 3, H, W) -> (B, 256)
        if isinstance(layer, DECIDING):
            inputs[name] = x
        x = layer(x)
    logits = {name.removeprefix("heads."): layer(x) for name, layer in heads.items()}
    return inputs, nn.multi_task_loss_backward(logits, y)


def _backward_by_hand(trunk, heads, dlogits):
    """Give dL/d(parameter) under PyTorch's names."""
    dy = sum(layer.backward(dlogits[name.removeprefix("heads.")]) for name, layer in heads.items())
    nn.Sequential(*trunk.values()).backward(dy)
    named = (trunk | heads).items()
    return {f"{n}.{k}": p.grad for n, layer in named for k, p in layer.parameters().items()}


def _settle_ties(trunk, inputs, inputs_torch):
    """Decide again from PyTorch's rounding of the same inputs; count what changes, by weight."""
    ties = {}
    for name, layer in trunk.items():
        if layer.parameters():
            weight = f"{name}.weight"
        if name in inputs:
            ours, theirs, before = inputs[name], inputs_torch[name], layer.branch
            if _parity(name, ours, theirs).max_relative_error < RTOL_VGG16[ours.dtype]:
                layer(theirs)
                ties[weight] = ties.get(weight, 0) + int((before != layer.branch).sum())
    return ties


def _gradients_by_torch(model, x, y, masks):
    """Give the same from autograd, the masks in dropout's place, and the deciding inputs."""
    import torch
    from torch import nn as torch_nn

    dropouts = [layer for layer in model.shared if isinstance(layer, torch_nn.Dropout)]
    for layer, mask in zip(dropouts, masks or (), strict=masks is not None):
        factor = torch.from_numpy(mask / (1 - layer.p)).to(torch.from_numpy(x).dtype)
        layer.register_forward_hook(lambda _, inputs, output, factor=factor: inputs[0] * factor)
    inputs = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch_nn.ReLU | torch_nn.MaxPool2d):

            def note(_, given, name=name):  # a copy, since VGG16's ReLUs write over their input
                inputs[name] = given[0].detach().clone().numpy()

            layer.register_forward_pre_hook(note)
    logits = model.eval()(torch.from_numpy(x))
    classes = {head: torch.tensor(y[head]).long() for head in logits}
    sum(
        torch_nn.functional.cross_entropy(Z, classes[head]) for head, Z in logits.items()
    ).backward()
    return {name: p.grad.numpy() for name, p in model.named_parameters()}, inputs


def _parity(name, found, reference, ties=0):
    found, reference = alike(found, reference)
    difference, scale = np.abs(found - reference).max(), np.abs(reference).max()
    error = difference / scale if scale else (np.inf if difference else 0.0)
    # nan compares as neither better nor worse than anything; inf is the worst there is
    error = float(np.nan_to_num(error, nan=np.inf, posinf=np.inf))
    return ParityRow(name, found.shape, found.size, error, ties)
