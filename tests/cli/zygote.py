"""A process that has imported what a run needs and forks for each command: a real run in a process of its own, without the
three seconds that its imports cost.

    python -m tests.cli.zygote      reads JSON lines {words, cwd, env, stdin, stdout, stderr}, answers each with the exit code
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

DEADLINE_S = 60


def serve() -> None:
    import torch._dynamo  # noqa: F401
    import torchmetrics.classification  # noqa: F401

    import gdist.api
    import gdist.cli.train
    import gdist.worker.build
    import gdist.worker.local
    import gdist.worker.training  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(be_gdist(json.loads(line)))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def be_gdist(asked: dict[str, Any]) -> int:
    from gdist.cli import main

    signal.alarm(DEADLINE_S)
    os.chdir(asked["cwd"])
    os.environ.update(asked["env"])
    for descriptor, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        os.dup2(os.open(asked[name], os.O_RDWR), descriptor)
    sys.stdin = os.fdopen(0, closefd=False)  # else it would go on with the zygote's buffer
    try:
        return main(asked["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve()
