"""How long does a parcel take? A table of numbers and categories with gaps, drivers kept apart: each is on one side only.

gdist train jobs/tabular.py --workers 2        validation loss 0.024; the mean alone has 0.26

The table follows a law (``parcels``): the logarithm of the minutes is a sum of what the columns say, of a habit of each driver
(deviation 0.1) and of chance (0.1). The drivers of the validation rows are new, so that a model that knew the law would still
have a loss of 0.1**2 + 0.1**2, and 0.0024 for what is missing: 0.022.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from gdist import AdamW, Cosine, DataFacts, Job, Parquet, Split

FILE = Path.home() / ".cache" / "gdist" / "parcels.parquet"
ROWS, DRIVERS = 30_000, 600
CITIES = ["Aachen", "Bremen", "Dresden", "Erfurt", "Fulda", "Gera", "Halle", "Jena", "Kiel", "Ulm"]
VEHICLES = {"bicycle": 16, "scooter": 28, "van": 33, "truck": 25}  # km/h on a free road


def parcels() -> Path:
    """The Parquet file of 30,000 parcels, written on first use."""
    if FILE.exists():
        return FILE
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(11)
    driver, city, vehicle = (rng.integers(0, n, ROWS) for n in (DRIVERS, len(CITIES), len(VEHICLES)))
    distance, hour = rng.lognormal(1.5, 0.6, ROWS), rng.uniform(7, 20, ROWS)
    rain, temperature = rng.exponential(0.7, ROWS) * (rng.random(ROWS) < 0.4), rng.normal(9, 9, ROWS)
    crowded = 0.5 * np.exp(-(((hour - 17) / 2.5) ** 2)) * (city % 3 + 1) / 3  # in the evening, in some cities more
    exposed = np.array([0.25, 0.15, 0.05, 0.05])[vehicle] * np.minimum(rain, 2) + 0.2 * (temperature < 0)
    hours = distance / np.array(list(VEHICLES.values()))[vehicle]
    habit, chance = rng.normal(0, 0.1, DRIVERS)[driver], rng.normal(0, 0.1, ROWS)
    minutes = np.log(60 * hours + 4) + crowded * (vehicle > 0) + exposed + habit + chance

    def with_gaps(values: object, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(ROWS) < share)

    columns = {
        "driver": pa.array(driver), "city": pa.array(np.array(CITIES)[city]),
        "vehicle": with_gaps(np.array(list(VEHICLES))[vehicle], 0.03), "distance_km": pa.array(distance),
        "hour": pa.array(hour), "rain_mm": with_gaps(rain, 0.1), "temperature": with_gaps(temperature, 0.15),
        "log_minutes": pa.array(minutes),
    }  # fmt: skip
    FILE.parent.mkdir(parents=True, exist_ok=True)
    aside = FILE.with_suffix(f".{os.getpid()}")
    pq.write_table(pa.table(columns), aside, row_group_size=2_000)
    aside.rename(FILE)  # whole, or not at all
    return FILE


class Mixed(nn.Module):
    """Numbers as they are, each category as a vector of its own, then three layers."""

    def __init__(self, data: DataFacts, width: int = 64, vector: int = 6) -> None:
        super().__init__()
        self.codes = [data.place(column) for column in data.categories]
        self.numbers = [place for place in range(data.width) if place not in self.codes]
        self.vectors = nn.ModuleList(nn.Embedding(size, vector) for size in data.categories.values())
        inner = len(self.numbers) + vector * len(self.codes)
        self.layers = nn.Sequential(
            nn.Linear(inner, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1), nn.Flatten(0)
        )

    def forward(self, x: Tensor) -> Tensor:
        codes = x[:, self.codes].long().unbind(1)
        vectors = [embed(code) for embed, code in zip(self.vectors, codes, strict=True)]
        return self.layers(torch.cat([x[:, self.numbers], *vectors], dim=1))


job = Job(
    model=Mixed,
    loss="mse",
    data=Parquet(
        path=parcels(),
        features=("distance_km", "hour", "rain_mm", "temperature", "city", "vehicle"),
        target="log_minutes",
        categories=("city", "vehicle"),
        scale="standardize",
        fill={"rain_mm": 0, "temperature": "median"},  # a vehicle that is missing is a category of its own: code 0
        indicators=True,
        dtypes={"features": "float32", "target": "float32"},
    ),
    validation=Split(share=0.2, group="driver"),
    metrics=("mae",),
    optimizer=AdamW(lr=2e-2, weight_decay=1e-3),
    schedule=Cosine(warmup=50),
    batch_size=256,
    epochs=20,
)
