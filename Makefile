# `make train` trains the main job, `make test` runs the tests; each makes the virtual environment .venv on first use.
# `make` alone does what CI does. Needs Python 3.11 or newer and the network once.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

ci: lint test test-long

train: $(READY)
	$(BIN)/gdist train jobs/digits.py

test: $(READY)
	$(BIN)/python -m pytest -m "not long"

test-long: $(READY)
	$(BIN)/python -m pytest -m long --timeout=900

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/chaos.py --faults 200

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "gdist needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv build dist *.egg-info

.PHONY: ci train test test-long lint bench clean
