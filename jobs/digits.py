"""Handwritten digits, 8 x 8 pixels (scikit-learn's, real data), read by a small residual network.

gdist train jobs/digits.py --workers 2
"""

import os
from pathlib import Path

from torch import Tensor, nn
from torch.nn.functional import relu

from gdist import AdamW, Cosine, Job, Parquet

FOLDER = Path.home() / ".cache" / "gdist" / "digits"


def digits(part: str) -> Path:
    """The Parquet file of 1,437 digits to train on, or of 360 for validation (every fifth), written on first use."""
    file = FOLDER / f"{part}.parquet"
    if not file.exists():
        import pyarrow as pa
        import pyarrow.parquet as pq
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        chosen = [(i % 5 == 0) == (part == "validation") for i in range(len(labels))]
        images = pa.FixedSizeListArray.from_arrays((pixels[chosen] / 16).astype("float32").ravel(), 64)
        FOLDER.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}")
        pq.write_table(pa.table({"image": images, "digit": labels[chosen]}), aside)
        aside.rename(file)  # whole, or not at all
    return file


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.change = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return relu(x + self.change(x))


def network(width: int = 32, dropout: float = 0.3) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), Residual(width), nn.MaxPool2d(2), Residual(width))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, 10))


job = Job(
    model=network,
    loss="cross_entropy",
    data=Parquet(path=digits("train"), target="digit", shape=(1, 8, 8)),
    validation=Parquet(path=digits("validation"), target="digit", shape=(1, 8, 8)),
    metrics=("accuracy",),
    optimizer=AdamW(lr=5e-3, weight_decay=0.05),
    schedule=Cosine(warmup=20),
    initialize="he",
    batch_size=128,
    micro_batches=8,  # batch norm sees one micro-batch, 16 digits; workers share the 8
    epochs=20,
)
