# posology: two commands. `make run` trains everything; `make test` proves it.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: run mts medec setup test test-all peers lint clean

run: setup
	$(BIN)/posology run --config configs/laptop.yaml

# On public data (../shared/data, or POSOLOGY_DATA): continued pretraining, SFT and DPO on notes; pairs of real errors.
mts: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/mts.sh

medec: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/medec.sh

setup: $(VENV)/.ready

# torch is asked for by its exact version first: any looser request may take a build with gigabytes of CUDA.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "posology needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

# With the whole pipeline: one smoke run, and one that is killed fifteen times and resumed.
test: lint
	$(BIN)/pytest

# And every family of models that users bring; `make test` tries three of them.
test-all: lint
	$(BIN)/pytest -m ''

# Agreement with outside code, in an environment of its own: TRL pins what the project does not.
peers: $(PEERS)/.ready
	$(PEERS)/bin/pytest benchmarks/peers

$(PEERS)/.ready: pyproject.toml constraints.txt benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement benchmarks/peers/requirements.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache build
