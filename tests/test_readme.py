"""The README says what is true: its job is the job, its tree is the tree, its Python runs.

python tests/test_readme.py     writes the tree anew
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- tree -->\n```\n", "```\n<!-- /tree -->"


def tree() -> str:
    """Every file of gdist, jobs and benchmarks with the first words of its docstring."""
    lines = []
    for top in ("gdist", "jobs", "benchmarks"):
        for folder in [ROOT / top, *sorted(p for p in (ROOT / top).rglob("*") if p.is_dir())]:
            files = sorted(folder.glob("*.py"))
            if not files:
                continue
            lines.append(f"{folder.relative_to(ROOT)}/")
            lines += [f"  {file.name:26s} {_phrase(file)}" for file in files if file.name != "__init__.py"]
    return "\n".join(lines) + "\n"


def _phrase(file: Path) -> str:
    text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z\")0-9])[.:;] ", text)[0].rstrip(".:")
    return sentence if len(sentence) <= 100 else sentence[:97].rsplit(" ", 1)[0] + " ..."


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.S)


def test_the_tree_is_the_tree() -> None:
    written = README.read_text().split(BEGIN)[1].split(END)[0]
    assert written == tree(), "python tests/test_readme.py writes it anew"


def test_the_job_in_the_readme_is_the_main_job() -> None:
    assert (ROOT / "jobs" / "digits.py").read_text() in _blocks("python")


def test_three_lines_of_plain_torch_load_the_model(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "gdist", "train", "jobs/digits.py", "--local", "epochs=2", "--runs", str(tmp_path / "runs")]
    subprocess.run(run, cwd=ROOT, check=True, timeout=100, capture_output=True)
    (loading,) = [block for block in _blocks("python") if "safetensors" in block]
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'jobs')!r})\n{loading}\nprint(sum(p.numel() for p in model.parameters()))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
    assert int(found.stdout) > 1000


def test_each_test_that_the_docs_name_is_there() -> None:
    named = re.findall(r"([a-z_]+/test_[a-z_]+\.py)::(test_\w+)", (ROOT / "docs" / "LIVE.md").read_text())
    assert len(named) > 10, "the table was not found"
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / "tests" / file).read_text()]
    assert not missing


if __name__ == "__main__":
    before, rest = README.read_text().split(BEGIN)
    README.write_text(before + BEGIN + tree() + END + rest.split(END)[1])
