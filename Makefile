# The hub's commands. Each target makes what it needs, .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
COUNT ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test check lint bench chaos audit lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("hub: Python 3.11 or newer is needed; this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## a season of three departments through everything, on a real Kafka; leaves nothing running
	@$(BIN)/hub demo

up: $(STAMP) ## the same hub, kept running, with its sandbox; Ctrl-C ends it
	@$(BIN)/hub up

test: check ## the whole suite: lint, types, import rules, tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal

check: $(STAMP) ## lint, types and import rules alone
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hub schemas check
	@$(BIN)/hub topics check

bench: $(STAMP) ## what the README claims, measured beside a reference
	@$(BIN)/hub bench ids
	@$(BIN)/hub bench routing --beside ops,ledger $(if $(COUNT),--count $(COUNT))
	@$(BIN)/hub bench intake $(if $(COUNT),--rows $(COUNT))
	@$(BIN)/hub bench intake --sql $(if $(COUNT),--rows $(COUNT))
	@$(BIN)/hub bench clocks --clocks $(if $(COUNT),$(COUNT),1000000)
	@$(BIN)/hub bench delivery $(if $(COUNT),--notices $(COUNT))
	@$(BIN)/hub bench ledger $(if $(COUNT),--events $(COUNT))
	@$(BIN)/hub bench web $(if $(COUNT),--events $(COUNT))

chaos: $(STAMP) ## the fault tests in full: kill -9 again and again
	@HUB_CHAOS_ROUNDS=$${HUB_CHAOS_ROUNDS:-12} $(BIN)/python -m pytest tests/chaos tests/e2e/test_demo.py -m "slow or not slow"

audit: ## the pinned versions against known advisories (needs uv and the internet; for a person, no test)
	@uvx pip-audit --disable-pip --require-hashes -r requirements.lock

lock: $(STAMP) ## pin the dependencies anew (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url requirements-dev.in -o requirements.lock

clean: ## remove what was set up and what runs left behind
	rm -rf $(VENV) .hub .hub-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
