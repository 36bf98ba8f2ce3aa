# `make help` lists what can be made.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

help:  ## list these targets
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making the environment in $(VENV) (downloads PyTorch and its companions: some minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

env: $(STAMP)  ## create .venv with the pinned versions

demo: $(STAMP)  ## make a synthetic clip, segment it with the default model, score it (result in demo/)
	$(BIN)/python scripts/demo.py --out demo

lint: $(STAMP)  ## ruff: style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy
	$(BIN)/mypy

test: lint types  ## lint, types and all fast tests
	$(BIN)/python -m pytest -q

test-slow: $(STAMP)  ## the tests marked slow
	$(BIN)/python -m pytest -q -m slow

clean:  ## remove the environment and what was generated
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache

.PHONY: help env demo lint types test test-slow clean
