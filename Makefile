# Everything a newcomer needs: `make demo` and `make test`.
# Each target finds a Python, creates .venv, installs the package and runs.
#
#   make demo | test | lint | docs | bench | clean
#   make coverage | tutorials | wheel | minimum | dist
#   make PYTHON=python3.13 demo      choose the Python (3.12 or newer)
#   make VENV=/tmp/venv test         put the environment elsewhere
#   make test ARGS='-k bands'        hand options on to the command

SHELL := /bin/sh
PYTHON ?=
VENV ?= .venv
ARGS ?=
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

PY := $(VENV)/bin/python
READY := $(VENV)/.ready
READY_DOCS := $(VENV)/.ready-docs

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint docs tutorials bench dist wheel minimum clean distclean

help:
	@sed -n '2,9s/^# \{0,1\}//p' Makefile

# an environment that does not run (moved folder, removed Python) is made anew
$(READY): pyproject.toml .ci/find-python
	@python="$$(.ci/find-python $(PYTHON))" || exit 1; \
	if ! $(PY) -c 'import sys; assert sys.version_info >= (3, 12)' 2>/dev/null; then \
	    echo "Creating $(VENV) with $$python"; \
	    "$$python" -m venv --clear $(VENV); \
	fi
	$(PY) -m pip install -e '.[all,dev]'
	@touch $@

$(READY_DOCS): $(READY)
	$(PY) -m pip install -e '.[docs]'
	@touch $@

demo: $(READY)
	@$(PY) -m torchgeo_hsi run --config configs/demo.yaml $(ARGS)

# two processes with one thread each: more threads fight over the same cores
# slow files first, as tests/conftest.py puts them, so that none is left for one process
test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -q $(PARALLEL) $(ARGS)

# lines that no test runs; fails below the share in pyproject.toml
coverage: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -q $(PARALLEL) \
	    --cov --cov-report=term --cov-report=html $(ARGS)

lint: $(READY)
	$(PY) -m ruff check --no-cache .
	$(PY) -m ruff format --no-cache --check .
	$(PY) -m mypy
	$(PY) -m codespell_lib

docs: $(READY_DOCS)
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html $(ARGS)
	@echo "Open docs/_build/html/index.html"

# run the notebooks of the tutorials anew: make tutorials ARGS=NAME
tutorials: $(READY_DOCS)
	$(PY) docs/tutorials/run.py $(ARGS)

# every benchmark in its quick form, and one table; make bench ARGS='--only adapter'
bench: $(READY)
	@$(PY) -W ignore benchmarks/run_all.py $(ARGS)

dist: $(READY)
	$(PY) -m build --installer uv
	$(PY) -m twine check --strict dist/*

# what a user gets: build, install into an empty environment, use it
wheel: $(READY)
	@VENV=$(VENV) .ci/wheel $(ARGS)

# the oldest versions that pyproject.toml allows
minimum: $(READY)
	@VENV=$(VENV) .ci/minimum $(ARGS)

clean:
	rm -rf build dist *.egg-info docs/_build .coverage htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
