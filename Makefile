# Two commands on a fresh machine with Python, make and git: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup demo test test-slow check format constraints clean

help:
	@echo "make demo         set up and run the whole job on handwritten digits"
	@echo "make test         set up and run the tests"
	@echo "make test-slow    the tests that take minutes: every model of every family"
	@echo "make check        ruff, format check and mypy"
	@echo "make format       let ruff mend what it can"
	@echo "make constraints  resolve the pinned versions anew"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[all]' --group dev
	touch $@

demo: $(INSTALLED)
	$(BIN)/stitchable demo --overwrite

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m slow

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# For every Python from 3.10 on; names and versions alone, no addresses.
constraints: $(INSTALLED)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra all --group dev \
		--no-header --no-annotate --no-emit-index-url --upgrade pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
