"""Gradient descent from first principles: linear regression with its gradient written by hand, and by gdist.

python jobs/linear_by_hand.py            both, step by step, side by side
gdist train jobs/linear_by_hand.py       only the engine's, on any number of workers

The model is y = X w + b, the loss the mean squared error over n samples:

    L = 1/n sum_i (x_i w + b - y_i)^2      dL/dw = 2/n X^T (X w + b - y)      dL/db = 2/n sum_i (x_i w + b - y_i)
"""

import numpy as np
from torch import nn

from gdist import SGD, Job, train

ROWS, STEPS, LR = 500, 60, 0.1
TRUE_W, TRUE_B = np.array([1.5, -2.0, 0.5]), 0.7

noise = np.random.default_rng(0)
X = noise.normal(size=(ROWS, 3))
Y = X @ TRUE_W + TRUE_B + 0.1 * noise.normal(size=ROWS)


def descend_by_hand() -> tuple[list[float], np.ndarray, float]:
    """The loss before each step, and where w and b end."""
    w, b, losses = np.zeros(3), 0.0, []
    for _ in range(STEPS):
        error = X @ w + b - Y
        losses.append(float(np.mean(error**2)))
        w = w - LR * 2 / ROWS * (X.T @ error)
        b = b - LR * 2 / ROWS * float(error.sum())
    return losses, w, b


def line() -> nn.Module:
    """The same start: w = 0, b = 0."""
    model = nn.Linear(3, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


job = Job(
    model=line,
    loss="mse",
    data=(X, Y[:, None]),
    optimizer=SGD(lr=LR),
    batch_size="full",
    steps=STEPS,
    precision="fp64",
    name="linear_by_hand",
)


if __name__ == "__main__":
    by_hand, w, b = descend_by_hand()
    result = train(job, local=True, show=False)
    by_gdist = result.metrics()["loss"].to_pylist()
    weights = result.model_state()
    print("step  loss by hand          loss by gdist         difference")
    for step in range(STEPS):
        if step < 5 or (step + 1) % 10 == 0:
            difference = abs(by_hand[step] - by_gdist[step])
            print(f"{step:4}  {by_hand[step]:<20.16f}  {by_gdist[step]:<20.16f}  {difference:.1e}")
    print(f"w by hand  {w}   b {b:.8f}")
    print(f"w by gdist {weights['weight'].numpy()[0]}   b {weights['bias'].item():.8f}")
    print(f"w in truth {TRUE_W}   b {TRUE_B}   (the data has noise)")
    worst = max(abs(one - other) / one for one, other in zip(by_hand, by_gdist, strict=True))
    print(f"largest relative difference of the loss over {STEPS} steps: {worst:.1e}")
