# Everything a newcomer needs: `make demo` and `make test`.
# Each target finds a Python, creates .venv, installs the package and runs.
#
#   make demo | test | lint | docs | bench | clean
#   make PYTHON=python3.13 demo      choose the Python (3.12 or newer)
#   make VENV=/tmp/venv test         put the environment elsewhere
#   make test ARGS='-k bands'        hand options on to the command

SHELL := /bin/sh
PYTHON ?=
VENV ?= .venv
ARGS ?=

PY := $(VENV)/bin/python
READY := $(VENV)/.ready
READY_DOCS := $(VENV)/.ready-docs

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean distclean

help:
	@sed -n '2,8s/^# \{0,1\}//p' Makefile

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
test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m codespell_lib

docs: $(READY_DOCS)
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html $(ARGS)
	@echo "Open docs/_build/html/index.html"

# only scripts run; shared code beside them does not
bench: $(READY)
	@set -e; for script in $$(grep -l "^if __name__ == '__main__'" benchmarks/*.py); do \
	    echo "== $$script"; \
	    $(PY) $$script --quick $(ARGS); \
	done

clean:
	rm -rf build dist *.egg-info docs/_build .coverage htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
