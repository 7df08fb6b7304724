# Every target makes the environment first. Needs Python 3.11 or later, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint audit format bench bench-full soak ui clean

help:                 ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)       ## make the virtual environment

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"gemmflow needs Python 3.11 or later, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) '.[dev]' 2> $(VENV)/install.log \
		|| { cat $(VENV)/install.log; exit 1; }
	@touch $@

demo: $(READY)        ## multiply generated matrices, larger than the memory they get, and open the report
	@$(BIN)/gemmflow demo

test: $(READY)        ## the quick tests
	$(PYTEST) -m "not slow and not gpu and not server and not browser"

test-slow: $(READY)   ## kills, faults, Prefect servers, big memory
	$(BIN)/python -m tests.lanes

test-gpu: $(READY)    ## on a machine with a CUDA device
	$(PYTEST) -m gpu

lint: $(READY)        ## style, types, floor plan
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

audit: $(READY)       ## ask a public database which of the pinned versions have known holes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --no-deps --disable-pip --requirement constraints.txt

format: $(READY)      ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(PEERS): $(READY)
	@$(INSTALL) '.[dev,bench]' 2> $(VENV)/peers.log && touch $@ || echo "cubed could not be installed ($(VENV)/peers.log): it is left out"

bench: $(PEERS)       ## compare with torch, scipy, dask.array, cubed and memmap in turn: minutes, on a quiet machine
	$(BIN)/python -m benchmarks.compare quick
	@$(BIN)/python -m benchmarks.performance --results build/bench --page build/bench/performance.md

bench-full: $(PEERS)  ## the same on large products, and curves over n, k, budget and workers: hours
	$(BIN)/python -m benchmarks.compare full
	@$(BIN)/python -m benchmarks.performance --results build/bench --page build/bench/performance.md

soak: $(READY)        ## half an hour of mixed jobs with faults, on workers that outlive them: is anything lost, does memory grow
	$(BIN)/python -m benchmarks.soak --minutes 30

ui: $(READY)          ## Prefect server, its UI, every flow served and a few sample runs (SAMPLES=no: none)
	@$(BIN)/gemmflow ui $(if $(filter no,$(SAMPLES)),,--samples)

clean:                ## remove the environment and what tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis demo
