"""A byte at a time: a small transformer that learns to write Python from the standard library's own sources.

gdist train jobs/text.py --workers 2        1.77 bits per byte on validation (8 is guessing)
python jobs/text.py runs/text              what the trained model writes
"""

import math
import sys
import sysconfig

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu, scaled_dot_product_attention

from gdist import AdamW, Batch, Clip, Cosine, Job, Text

CONTEXT = 128


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_attention, self.from_attention = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.to_attention(self.before_attention(x)).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).reshape(rows, length, width)
        x = x + self.from_attention(seen)
        return x + self.down(relu(self.up(self.before_mlp(x))).square())


class Writer(nn.Module):
    """Bytes [rows, length] -> scores of the next byte [rows, length, 256]."""

    def __init__(self, width: int = 64, layers: int = 2, heads: int = 4, before: int = 8) -> None:
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        self.nearby = nn.Conv1d(width, width, before, padding=before - 1)  # of a byte and those just before it
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.scores = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 256))

    def forward(self, text: Tensor) -> Tensor:
        x = self.bytes(text)
        x = x + self.nearby(x.transpose(1, 2))[..., : text.shape[1]].transpose(1, 2)
        places = self.places(torch.arange(text.shape[1], device=text.device))
        return self.scores(self.blocks(x + places))


def bits_per_byte(model: nn.Module, batch: Batch) -> Tensor:
    return cross_entropy(model(batch.features).flatten(0, 1), batch.target.flatten()) / math.log(2)


job = Job(
    model=Writer,
    loss=bits_per_byte,
    data=Text(path=f"{sysconfig.get_paths()['stdlib']}/*.py", context=CONTEXT),
    validation=0.05,
    optimizer=AdamW(lr=5e-3, betas=(0.9, 0.99), weight_decay=0.05),
    schedule=Cosine(warmup=30),
    clip=Clip(norm=1.0),
    batch_size=16,
    micro_batches=2,
    epochs=2,
)


@torch.no_grad()
def write(model: nn.Module, begin: str, count: int) -> str:
    """``begin`` and ``count`` bytes after it, each drawn from what the model expects."""
    text = torch.tensor([list(begin.encode())])
    for _ in range(count):
        scores = model(text[:, -CONTEXT:])[:, -1]
        text = torch.cat([text, torch.multinomial((scores / 0.7).softmax(-1), 1)], dim=1)
    return bytes(text[0].tolist()).decode(errors="replace")


if __name__ == "__main__":
    from safetensors.torch import load_model

    model = Writer()
    load_model(model, f"{sys.argv[1]}/model.safetensors")
    print(write(model, "class Queue:\n    def ", 600))
