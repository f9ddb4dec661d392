# Every verb a person needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
COMPILE := $(UV) pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command 'make lock'
INSTANCE ?= carrel
PORT ?= 8443

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Debian's python3 has no ensurepip; a root who may install packages gets it, anybody else a sentence.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'make: Python 3.11 or later is needed as python3.' >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; } || { echo 'make: python3 cannot make virtual environments; install the package python3-venv.' >&2; exit 1; }
	@python3 -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(VENV)/.ready ## Python environment in .venv, from requirements/dev.txt with hashes

.PHONY: demo
demo: venv ## From nothing to a locked notebook on real DICOM, with times
	@$(BIN)/carrel demo --instance $(INSTANCE) --port $(PORT)

.PHONY: down
down: venv ## Stop the embedded cluster and leave nothing behind
	@$(BIN)/carrel cluster down --instance $(INSTANCE)

.PHONY: check
check: venv ## Lint, types, floors, unit, property and golden tests; no cluster, under a minute
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/pytest -q -n 2 -m 'not long' tests/unit tests/property tests/golden

.PHONY: test
test: check ## All tests, with the embedded cluster
	@$(BIN)/carrel demo --instance $(INSTANCE) --port $(PORT)
	@$(BIN)/pytest -q -n 2 -m long tests/unit tests/property
	@CARREL_INSTANCE=$(INSTANCE) $(BIN)/pytest -q tests/policies tests/cluster tests/escape tests/golden/charts

.PHONY: generate
generate: venv ## CRDs, schemas and reference pages from code
	@$(BIN)/carrel generate

.PHONY: soak
soak: venv ## The full counts: thousands of starts and of examples per law; hours
	@CARREL_INSTANCE=$(INSTANCE) CARREL_LAWS=soak $(BIN)/pytest -q tests/soak tests/property
	@CARREL_RECORDER_KILLS=300 $(BIN)/pytest -q tests/cluster/node/test_recorder.py -k killed
	@CARREL_KILLED_RUNS=10 $(BIN)/pytest -q tests/cluster/operator -k killed_at_random

.PHONY: bench
bench: venv ## The figures of docs/reference/figures.md, as JSON in tests/bench/results
	@mkdir -p tests/bench/results
	@$(BIN)/python tests/bench/operator_throughput.py --grants 2000 --output tests/bench/results/operator_throughput.json
	@$(BIN)/python tests/bench/manifest_queries.py --instances 1000000 --output tests/bench/results/manifest_queries.json
	@$(BIN)/python tests/bench/dataset_views.py --files 8000 --output tests/bench/results/dataset_views.json
	@$(BIN)/python tests/bench/start_latency.py --instance $(INSTANCE) --starts 20 --output tests/bench/results/start_latency.json
	@$(BIN)/python tests/bench/audit_search.py --records 10000000 --output tests/bench/results/audit_search.json
	@$(BIN)/python tests/bench/racing_starts.py --starts 10000 --output tests/bench/results/racing_starts.json
	@$(BIN)/python tests/bench/agent_kills.py --kills 300 --output tests/bench/results/agent_kills.json
	@$(BIN)/python tests/bench/flood.py --seconds 60 --output tests/bench/results/flood.json
	@$(BIN)/carrel generate

.PHONY: lock
lock: $(VENV)/.ready ## Renew requirements/*.txt
	@$(COMPILE) pyproject.toml -o requirements/platform.txt
	@$(COMPILE) --group dev pyproject.toml -o requirements/dev.txt
	@$(COMPILE) images/workspace/workspace.in -o requirements/workspace.txt
