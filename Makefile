# Needs make and Python 3.11 or newer; `make PYTHON=python3.12 …` chooses which.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SOURCES := pipeline_assets resources sensors bench tests
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo dev test test-real test-order faults bench check format lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

venv: $(INSTALLED) ## Make .venv with .venv/bin/landfall, in the locked versions

# The lock holds the build backend too, so nothing unlocked is fetched to build with.
$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON): install Python 3.11 or newer, or name yours: make venv PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.11 or newer is needed: make venv PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: install its venv package (python3-venv on Debian)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(INSTALLED) ## Sample files to gold and DynamoDB on a local AWS, with a summary
	$(BIN)/python -m pipeline_assets.demo

dev: $(INSTALLED) ## The local AWS and Dagster's UI, sensors on
	$(BIN)/landfall dev

test: $(INSTALLED) ## Every test but those on real input data
	$(BIN)/python -m pytest -n 2 -m "not real"

test-real: $(INSTALLED) ## Tests on the real input data in ../shared/data
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "real and not long"

test-order: $(INSTALLED) ## The whole real input in two halves and in reverse: the same tables
	$(BIN)/python -m pytest -m long

# FAULTS=race runs one kind, TRIALS=5 so many of each, LANES=3 so many side by side.
faults: $(INSTALLED) ## Break things on purpose, compare, and write docs/faults.md (80 minutes)
	$(BIN)/python tests/faults $(if $(FAULTS),--kind $(FAULTS)) $(if $(TRIALS),--trials $(TRIALS)) \
	  $(if $(LANES),--lanes $(LANES))

# ROW=drain measures one row, TRIAL=1 writes nothing; LANDFALL_BENCH_DRAIN_FILES=200 and the like say
# how much (bench/sizes.py).
bench: $(INSTALLED) ## Measure against peers, and write docs/performance.md (half an hour)
	$(BIN)/python -m bench $(if $(ROW),--row $(ROW)) $(if $(TRIAL),--trial)

check: $(INSTALLED) ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(SOURCES)
	set -e; for file in tests/*/conftest.py; do $(BIN)/mypy --strict $$file; done

format: $(INSTALLED) ## Format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Renew requirements.lock from pyproject.toml, on purpose
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet '.[local,dev]' 'setuptools>=77'
	build/lock/bin/python -m pip freeze --all | grep -vE '^(landfall|pip) ?(==|@)' \
	  | LC_ALL=C sort -f > requirements.lock
	rm -rf build/lock

clean: ## Remove .venv and caches; keeps the local AWS and its data
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find pipeline_assets resources sensors tests -name __pycache__ -prune -exec rm -rf {} +
