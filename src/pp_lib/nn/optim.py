"""Optimizers: what a step makes of a gradient. Formulas and defaults are ``torch.optim``'s."""

import math

import numpy as np

from pp_lib.nn.parameter import Parameter


class Optimizer:
    """What all optimizers share; a subclass writes `_change(value, gradient, state)`.

    Parameters
    ----------
    parameters : dict of Parameter
        As `Layer.parameters` gives it. Values are changed in place.
    lr : float
        The learning rate, at least 0; may be changed between steps.
    weight_decay : float
        lambda, at least 0: lambda times the value is added to the gradient (L2).

    Raises
    ------
    ValueError
        For no parameters, something that is no parameter, or a number out of its range.
    """

    def __init__(self, parameters, lr, weight_decay=0.0, **at_least_0):
        if not parameters or not all(isinstance(p, Parameter) for p in parameters.values()):
            raise ValueError(f"parameters must be a dict of Parameter, got {parameters!r}")
        for name, number in {"lr": lr, "weight_decay": weight_decay, **at_least_0}.items():
            if not 0 <= number < np.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {number}")
        self.parameters = dict(parameters)
        self.lr, self.weight_decay = lr, weight_decay
        self.steps = 0
        self.state = {name: {} for name in self.parameters}

    def step(self):
        """Change every parameter once, by its gradient; nothing is changed if one has none.

        Raises
        ------
        ValueError
            For a parameter without gradient (PyTorch passes over it in silence), or one whose
            gradient has another shape or dtype.
        """
        for name, p in self.parameters.items():
            if p.grad is None:
                raise ValueError(f"{name} has no gradient: run backward before step")
            came, like = np.asarray(p.grad), p.value
            if (came.shape, came.dtype) != (like.shape, like.dtype):
                raise ValueError(
                    f"the gradient of {name} must be {like.shape} {like.dtype}, got {came.shape} "
                    f"{came.dtype}"
                )
        self.steps += 1
        for name, p in self.parameters.items():
            self._step_one(p, self.state[name])

    def zero_grad(self):
        """Forget all gradients, so that a step without a new backward is noticed."""
        for p in self.parameters.values():
            p.grad = None

    def state_dict(self):
        """Give what a resumed run needs beside the values: steps, lr and copies of the moments."""
        moments = {
            name: {key: array.copy() for key, array in state.items()}
            for name, state in self.state.items()
        }
        return {"steps": self.steps, "lr": self.lr, "state": moments}

    def load_state_dict(self, saved):
        """Take up what `state_dict` gave for parameters of the same names and shapes."""
        if set(saved["state"]) != set(self.parameters):
            came, expected = sorted(saved["state"]), sorted(self.parameters)
            raise ValueError(f"the state must be of the parameters {expected}, got {came}")
        for name, state in saved["state"].items():
            for key, array in state.items():
                if array.shape != self.parameters[name].shape:
                    expected = self.parameters[name].shape
                    raise ValueError(f"{key} of {name} must be {expected}, got {array.shape}")
        self.steps, self.lr = saved["steps"], saved["lr"]
        self.state = {
            name: {key: array.copy() for key, array in state.items()}
            for name, state in saved["state"].items()
        }

    def _step_one(self, p, state):
        gradient = p.grad + self.weight_decay * p.value if self.weight_decay else p.grad
        self._change(p.value, gradient, state)

    def _change(self, value, gradient, state):
        raise NotImplementedError(f"{type(self).__name__} must write _change")


class SGD(Optimizer):
    """Step against the gradient, or against its running sum, the momentum (chapter 12).

    v = momentum v + (1 - dampening) g, begun with v = g; W = W - lr v, or with Nesterov's
    W = W - lr (g + momentum v).

    Parameters
    ----------
    parameters, lr, weight_decay
        As of `Optimizer`.
    momentum, dampening : float
    nesterov : bool
        Needs a momentum above 0 and no dampening.
    """

    def __init__(
        self,
        parameters,
        lr=1e-3,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
    ):
        super().__init__(parameters, lr, weight_decay, momentum=momentum)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                "nesterov needs momentum above 0 and dampening 0, "
                f"got momentum {momentum} and dampening {dampening}"
            )
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov

    def _change(self, value, gradient, state):
        if self.momentum:
            if "velocity" in state:
                state["velocity"] *= self.momentum
                state["velocity"] += (1 - self.dampening) * gradient
            else:
                state["velocity"] = gradient.copy()  # the first is not dampened, as in PyTorch
            v = state["velocity"]
            gradient = gradient + self.momentum * v if self.nesterov else v
        value -= self.lr * gradient


class RMSProp(Optimizer):
    """Divide the gradient by the root of its running mean square (chapter 12; Hinton 2012).

    v = alpha v + (1 - alpha) g^2; W = W - lr g / (sqrt(v) + eps).

    Parameters
    ----------
    parameters, lr, weight_decay
        As of `Optimizer`.
    alpha : float
        In [0, 1].
    eps : float
    momentum : float
        Of the running sum of the divided gradients.
    """

    def __init__(self, parameters, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0):
        super().__init__(parameters, lr, weight_decay, eps=eps, momentum=momentum)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def _change(self, value, gradient, state):
        if not state:
            state.update(square=np.zeros_like(value), velocity=np.zeros_like(value))
        v, velocity = state["square"], state["velocity"]
        v *= self.alpha
        v += (1 - self.alpha) * gradient**2
        change = gradient / (np.sqrt(v) + self.eps)
        if self.momentum:
            velocity *= self.momentum
            velocity += change
            change = velocity
        value -= self.lr * change


class Adam(Optimizer):
    """Divide the running mean of the gradient by the root of that of its square (chapter 12).

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; both start at 0 and are too small at first
    by 1 - b^t, which is divided out; W = W - lr m_hat / (sqrt(v_hat) + eps). (Kingma & Ba 2015.)

    Parameters
    ----------
    parameters, lr, weight_decay
        As of `Optimizer`.
    betas : (float, float)
        b1 and b2, each in [0, 1).
    eps : float
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr, weight_decay, eps=eps)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {betas}")
        self.betas, self.eps = betas, eps

    def _change(self, value, gradient, state):
        b1, b2 = self.betas
        if not state:
            state.update(sum=np.zeros_like(value), squares=np.zeros_like(value))
        # m and v without the factors 1 - b1 and 1 - b2, which are put into the numbers below, as
        # the corrections are: every line here goes through memory once, and that is what costs.
        G, S, work = state["sum"], state["squares"], np.empty_like(value)
        G *= b1
        G += gradient
        S *= b2
        S += np.square(gradient, out=work)
        mean = (1 - b1) / (1 - b1**self.steps)  # m_hat = mean G
        root = math.sqrt((1 - b2) / (1 - b2**self.steps))  # sqrt(v_hat) = root sqrt(S)
        np.sqrt(S, out=work)
        work += self.eps / root
        np.divide(G, work, out=work)
        work *= self.lr * mean / root
        value -= work


class AdamW(Adam):
    """Adam whose decay shrinks the weights themselves, W = (1 - lr lambda) W (chapter 12).

    It so stays out of the moments (Loshchilov & Hutter 2019). Parameters are those of `Adam`.
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _step_one(self, p, state):
        p.value *= 1 - self.lr * self.weight_decay
        self._change(p.value, p.grad, state)
