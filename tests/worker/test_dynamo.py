"""The stand-in for torch's compiler: nothing of it is imported by training, all of it works for whoever compiles."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import torch
from torch import nn
from gdist.worker.dynamo import import_compiler_late
import_compiler_late()
model = nn.Linear(3, 2)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
model(torch.ones(4, 3)).sum().backward()
optimizer.step()
import sys
assert "sympy" not in sys.modules and "torch._dynamo.eval_frame" not in sys.modules
compiled = torch.compile(model, backend="eager")
before = [p.clone() for p in model.parameters()]
compiled(torch.ones(4, 3)).sum().backward()
optimizer.step()
assert "torch._dynamo.eval_frame" in sys.modules
assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
print("well")
"""


def test_an_optimizer_steps_without_the_compiler_and_a_compiled_model_trains() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=100, check=False)
    assert found.stdout == "well\n", found.stderr
