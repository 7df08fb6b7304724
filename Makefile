# Every target makes the environment first. Needs Python 3.11 or later, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint format bench ui clean

help:                 ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)       ## make the virtual environment

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"gemmflow needs Python 3.11 or later, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' 2> $(VENV)/install.log \
		|| { cat $(VENV)/install.log; exit 1; }
	@touch $@

demo: $(READY)        ## multiply generated matrices, larger than the memory they get, and open the report
	@$(BIN)/gemmflow demo

test: $(READY)        ## the quick tests
	$(PYTEST) -m "not slow and not gpu and not server and not browser"

test-slow: $(READY)   ## kills, faults, Prefect servers, big memory
	$(PYTEST) -m "(slow or server or browser) and not gpu"

test-gpu: $(READY)    ## on a machine with a CUDA device
	$(PYTEST) -m gpu

lint: $(READY)        ## style, types, floor plan
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

format: $(READY)      ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)       ## compare with torch in memory and dask.array, interleaved (needs a quiet machine)
	$(BIN)/python -m benchmarks.compare

ui: $(READY)          ## Prefect server, its UI and one served deployment
	@$(BIN)/gemmflow ui

clean:                ## remove the environment and what tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis demo
