# Every target sets up what it needs: a Python, the virtual environment .venv, the pinned packages.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all test-quick lint format typecheck docs tutorial clean distclean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

# Options, as in `make test WORKERS=8 PYTEST_ARGS="-k backflow"`.
PYTHON ?=
WORKERS ?= 2
THREADS ?= 1
TEST_XLA_FLAGS ?= --xla_cpu_multi_thread_eigen=false
# The tests compile many small programs and run each of them for a moment: optimising them does not pay.
TEST_JAX_QUICK ?= 1
PYTEST_ARGS ?=
# Some files of every package, below two minutes on two cores.
QUICK := tests/test_options.py tests/test_text.py tests/analysis tests/ansatz/test_logdet.py \
  tests/ansatz/test_registry.py tests/cli/test_bad_input.py tests/cli/test_messages.py \
  tests/determinants/test_configurations.py tests/drivers/test_supervision.py \
  tests/evaluation/test_extrapolation.py tests/hamiltonians/test_irreps.py \
  tests/hamiltonians/lattice/test_space_group.py tests/hamiltonians/formats/test_fcidump.py \
  tests/observables/test_density.py tests/operators/test_own_hamiltonian.py \
  tests/optimize/test_structured.py tests/report/test_sweep_figures.py tests/runs/test_history.py \
  tests/runs/test_schema.py tests/sampling/test_hops.py tests/states/test_space_state.py \
  tests/sweep/test_expand.py tests/sweep/test_table.py

# An environment that was copied or moved along with its folder points to the old place: make it anew.
$(shell [ "$$(cat $(VENV)/.checkout 2>/dev/null)" = "$$(pwd -P)" ] || rm -f $(STAMP))

help: ## list the targets
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1: \2/p' Makefile
	@echo 'Options: PYTHON=path (setup), WORKERS=n THREADS=n PYTEST_ARGS="..." (test)'

setup: $(STAMP) ## make the virtual environment .venv

# The script runs on any Python from 3.9 on; "python3" alone may be a version manager's shim that does not run.
$(STAMP): pyproject.toml constraints.txt .ci/bootstrap.py
	@for python in python3 python python3.12 python3.13 python3.14 /usr/bin/python3; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then \
	    exec "$$python" .ci/bootstrap.py --python "$(PYTHON)"; \
	  fi; \
	done; \
	echo 'error: no Python found (tried python3 and python): install Python 3.12' >&2; exit 1
	@touch $(STAMP)

demo: $(STAMP) ## compute N2 in a minimal basis: table, plot, run folder runs/demo
	@rm -rf runs/demo
	@$(BIN)/nnbf molecule N2 --basis sto-3g --out runs/demo

# One thread for each worker, so that they do not compete. A file's tests stay together: they share fixtures and
# compiled functions; tests/conftest.py knows which files take longest.
# PYTEST_ARGS="-m slow" runs the long ones alone.
test: MARKED ?= not slow
test-all: MARKED := slow or not slow
test test-all: $(STAMP)
	@OMP_NUM_THREADS=$(THREADS) OPENBLAS_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS) \
	  XLA_FLAGS="$(TEST_XLA_FLAGS) $$XLA_FLAGS" JAX_PLATFORMS="$${JAX_PLATFORMS:-cpu}" MPLBACKEND=agg \
	  JAX_DISABLE_MOST_OPTIMIZATIONS=$(TEST_JAX_QUICK) \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m '$(MARKED)' $(PYTEST_ARGS)
test: ## run the test suite without what takes long, as .ci/run does
test-all: ## run the whole test suite

test-quick: ## run some tests of every package, below two minutes
	@$(MAKE) --no-print-directory test PYTEST_ARGS="$(QUICK) $(PYTEST_ARGS)"

lint: $(STAMP) ## check style, formatting and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

format: $(STAMP) ## reformat, and mend what can be mended safely
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

typecheck: $(STAMP) ## check types
	@$(BIN)/mypy

# All pages anew: what is generated depends on the program, which Sphinx does not watch.
docs: $(STAMP) ## build the pages of docs/ into build/docs/html; a warning is an error
	@JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -W --keep-going -q -E -a -b html -d build/docs/doctrees docs build/docs/html
	@echo 'pages: build/docs/html/index.html'

tutorial: $(STAMP) ## run the executed pages as they are written, and compare what they print
	@for page in tutorial spectroscopy response own_hamiltonian own_ansatz; do $(BIN)/python docs/run_tutorial.py docs/$$page.md || exit 1; done

clean: ## remove caches, build output and the demo's run
	@rm -rf build dist runs/demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find nnbf hamiltonians tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment too
	@rm -rf $(VENV) .venv-bootstrap
