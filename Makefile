# chordnet's everyday commands.  They need Python 3.11 or later with venv, git and make; what else
# they use is installed, with the versions and hashes of requirements/*.txt, into a virtual
# environment of their own:  make demo test lint types docs bench lock clean

VENV ?= .venv-make
bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check -qq
install := $(pip) install --require-hashes --no-deps -r

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-trial test-pytest test-docker lint format types docs bench lock build clean

help:
	@echo "make demo     a network of 16 nodes tells its story in a minute (in Docker where that answers)"
	@echo "make test     the test suite under trial and under pytest"
	@echo "make lint     ruff: rules and format      make types    mypy, strict"
	@echo "make docs     docs/_build/html            make bench    the benchmark table"
	@echo "make build    wheel and source archive    make lock     renew requirements/*.txt"
	@echo "make clean    removes everything that make made, $(VENV) too"

# --- The virtual environment -------------------------------------------------------------------

# A name on the path is not yet a Python that runs (pyenv leaves shims behind), nor one with venv
# (Debian packages it apart), so each candidate has to prove both.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
    $$name -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) or sys.exit(1); \
    print(sys.executable)' 2>/dev/null && break; done)

# The stamps say which lock was installed last; each level holds the one below it.
runtime := $(VENV)/.runtime
testing := $(VENV)/.testing
developing := $(VENV)/.developing

$(VENV)/.made:
	@python="$(PYTHON)"; test -n "$$python" || { echo "chordnet needs Python 3.11 or later with\
 venv and found none on the path: install one (Debian: apt-get install python3-venv) or name it\
 with make PYTHON=..." >&2; exit 1; }; \
	echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV)
	@touch $@

# Editable, so that the tests and the demonstration run the code as it stands.
$(runtime): $(VENV)/.made requirements/runtime.txt requirements/build.txt pyproject.toml
	@echo "installing chordnet into $(VENV)"
	@$(install) requirements/runtime.txt -r requirements/build.txt
	@$(pip) install --no-build-isolation --no-deps --no-index -e .
	@touch $@

$(testing): $(runtime) requirements/test.txt
	@$(install) requirements/test.txt
	@touch $@

$(developing): $(testing) requirements/dev.txt
	@echo "installing the developers' tools into $(VENV)"
	@$(install) requirements/dev.txt
	@touch $@

# --- What it is for ----------------------------------------------------------------------------

demo: $(runtime)
	@$(bin)/p2pnet demo

test: test-trial test-pytest
	@echo "Left out: the end-to-end tests with containers, which need a Docker engine with Compose"
	@echo "and a few minutes; 'make test-docker' runs them."

test-trial: $(testing)
	$(bin)/trial --temp-directory=$(VENV)/_trial_temp tests

# A process of its own for tests/e2e: pytest-twisted's reactor would upset trial's test cases.
test-pytest: $(testing)
	$(bin)/pytest --ignore=tests/e2e
	$(bin)/pytest tests/e2e

test-docker: $(testing)
	CHORDNET_E2E_DOCKER=1 $(bin)/pytest tests/e2e

lint: $(developing)
	$(bin)/ruff check .
	$(bin)/ruff format --check .

format: $(developing)
	$(bin)/ruff check --fix-only --quiet .
	$(bin)/ruff format .

types: $(developing)
	$(bin)/mypy

docs: $(developing)
	$(bin)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(developing)
	$(bin)/python -m benchmarks

build: $(developing)
	@rm -rf dist
	$(bin)/python -m build --no-isolation --skip-dependency-check

# Universal: one lock for Python 3.11 to 3.13 and every platform, by markers.  It names no package
# index, so it holds wherever pip is set up to look.  `make lock UPGRADE=--upgrade` renews the pins.
compile = $(bin)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command "make lock" $(UPGRADE) pyproject.toml

lock: $(VENV)/.made
	@test -x $(bin)/uv || $(pip) install "uv>=0.8,<1"
	$(compile) requirements/bench.in --group dev --group build --extra simulate \
	    -o requirements/dev.txt
	$(compile) --group test --extra simulate -c requirements/dev.txt -o requirements/test.txt
	$(compile) -c requirements/dev.txt -o requirements/runtime.txt
	$(bin)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --custom-compile-command "make lock" --group build -c requirements/dev.txt \
	    -o requirements/build.txt
	@! grep -n '://' requirements/*.txt

clean:
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis _trial_temp* tests.*/
	find chordnet tests twisted_plugins -name __pycache__ -prune -exec rm -rf {} +
	find twisted_plugins -name dropin.cache -delete
