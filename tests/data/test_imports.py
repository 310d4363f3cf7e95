"""Importing the room loads nothing heavy; describing a source does not either."""

from __future__ import annotations

import subprocess
import sys


def test_importing_and_describing_load_no_torch_numpy_or_pyarrow() -> None:
    script = (
        "import sys\nfrom gdist.data import *\nParquet(path='x.parquet', target='y').describe()\n"
        "print(sorted({'torch', 'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
