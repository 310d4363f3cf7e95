"""Samples that draw random numbers from the default generators of torch, NumPy or Python: the same ones for the same
(seed, epoch, row), however many workers read and however far ahead.

torch's default generator is also the model's (dropout), which may compute at the same time: draws of the reading thread are
given a generator of their own. NumPy's and Python's are seeded for each sample and put back after a batch. A dataset that
draws nothing is only watched, for 1 to 2 microseconds a call of torch's functions and a tenth of a millisecond a batch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from gdist.data.identity import stamps
from gdist.data.order import round_keys

if TYPE_CHECKING:
    import numpy as np

# fmt: off
_DRAWS = frozenset((  # torch's functions and methods that draw
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "bernoulli_",
    "multinomial", "normal", "normal_", "uniform_", "random_", "exponential_", "geometric_", "log_normal_", "cauchy_",
    "poisson", "binomial", "dropout", "dropout_", "alpha_dropout", "alpha_dropout_", "feature_dropout",
    "feature_alpha_dropout", "rrelu", "rrelu_",
))
# fmt: on


class Drew(BaseException):
    """A function of torch that draws is about to be called by a dataset that is only watched; not for users to catch."""


class Watch:
    """Watches what runs inside (``with``). ``drew``, afterwards: whether anything was drawn from a default generator. torch is
    stopped before it draws, by ``Drew``; NumPy's and Python's generators are put back."""

    def __enter__(self) -> Watch:
        self.drew = False
        self._before = _states()
        self._mode = _functions()(self._stop)
        self._mode.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._mode.__exit__(*error)
        if not _same(self._before, _states()):
            self.drew = True
            _put_back(self._before)

    def _stop(self, func: Any, args: Any, kwargs: Any) -> Any:
        self.drew = True
        raise Drew


@contextmanager
def seeded() -> Iterator[Callable[[int], None]]:
    """Gives a function that seeds what is drawn from then on, in this thread. NumPy's and Python's generators are put back at
    the end."""
    import numpy as np
    import torch

    generator = torch.Generator()

    def seed(value: int) -> None:
        generator.manual_seed(value)
        np.random.seed(value & 0xFFFFFFFF)
        random.seed(value)

    def draw(func: Any, args: Any, kwargs: Any) -> Any:
        if not _on_cpu(args, kwargs):
            return func(*args, **kwargs)
        if func.__name__ not in without:
            try:
                return func(*args, **kwargs, generator=generator)
            except TypeError:  # it takes none, or other arguments are wrong, which is found again
                without.add(func.__name__)
        with torch.random.fork_rng(devices=[]):  # dropout and its like
            torch.default_generator.set_state(generator.get_state())
            result = func(*args, **kwargs)
            generator.set_state(torch.default_generator.get_state())
            return result

    without: set[str] = set()
    before = _states()
    try:
        with _functions()(draw):
            yield seed
    finally:
        _put_back(before)


def sample_seeds(rows: np.ndarray, *, seed: int, epoch: int) -> Sequence[int]:
    """A seed for each row: 63 bits."""
    import numpy as np

    words = stamps(0, rows).view(np.uint64) ^ np.uint64(round_keys(seed=seed, epoch=epoch)[0])
    found: list[int] = (stamps(0, words.view(np.int64)).view(np.uint64) >> np.uint64(1)).tolist()
    return found


def _states() -> tuple[Any, Any]:
    import numpy as np

    return random.getstate(), np.random.get_state(legacy=False)


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    (python, numpy), (python_now, numpy_now) = one, other
    return bool(
        python == python_now
        and numpy["state"]["pos"] == numpy_now["state"]["pos"]
        and (numpy["state"]["key"] == numpy_now["state"]["key"]).all()
        and numpy["has_gauss"] == numpy_now["has_gauss"]
    )


def _put_back(states: tuple[Any, Any]) -> None:
    import numpy as np

    random.setstate(states[0])
    np.random.set_state(states[1])


@cache
def _functions() -> Any:
    from torch.overrides import TorchFunctionMode

    class Functions(TorchFunctionMode):
        """In this thread, ``instead`` is called in the place of functions of torch that draw."""

        def __init__(self, instead: Callable[[Any, Any, Any], Any]) -> None:
            super().__init__()
            self._instead = instead

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func.__name__ in _DRAWS and kwargs.get("generator") is None:
                return self._instead(func, args, kwargs)
            return func(*args, **kwargs)

    return Functions


def _on_cpu(args: Any, kwargs: Any) -> bool:
    import torch

    device = kwargs.get("device")
    if device is None and args and isinstance(args[0], torch.Tensor):
        device = args[0].device
    return device is None or torch.device(device).type == "cpu"
