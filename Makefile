# Each target does its own set-up: only Python >= 3.11, make and pip's package sources are needed.
PYTHON ?= python3
BIN := .venv/bin

# Bytecode is kept in .venv even where the environment says not to: vLLM's import is three times as fast with it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-faults lint docs screenshots site release lock clean environment

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

environment: ## build .venv from the pinned lock; does nothing when it is up to date
	@$(PYTHON) tools/bootstrap.py

demo: RUN := $(or $(RUN),runs/demo-$(shell date +%Y%m%d-%H%M%S))
demo: environment ## multi-rollout distillation of a real model, end to end (RUN=folder, at most 12 minutes)
	@$(BIN)/mopd run examples/demo.yaml --run "$(RUN)"
	@$(BIN)/python -m flows.cli.demo "$(RUN)"

test: environment ## the test suite, but for test-cluster and test-faults
	@$(BIN)/python -m pytest -m "not cluster and not faults" --durations=25

test-cluster: environment ## tests on several hosts, ranks and an object store, all on this machine
	@$(BIN)/python -m pytest -m cluster --durations=25

test-faults: environment ## kill, damage and starve runs at random (MOPD_FAULT_SEED, MOPD_FAULT_KILLS=50, MOPD_FAULT_RECORD=file)
	@MOPD_FAULT_SEED=$${MOPD_FAULT_SEED:-$$(date +%s)} $(BIN)/python -m pytest -m faults tests/faults

lint: environment ## ruff (rules and format) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: environment ## write the generated pages of docs/ again
	@$(BIN)/python tools/settings_page.py
	@$(BIN)/python tools/sql_page.py
	@$(BIN)/python benchmarks/scale_on_paper.py --write

screenshots: environment ## docs/report_light.png and report_dark.png, of the page of RUN=folder, by Chromium
	@$(if $(RUN),,$(error give the run that is shown: make screenshots RUN=folder))
	@$(BIN)/python tools/screenshots.py "$(RUN)"

site: environment ## docs/ as a site, in build/site, with the report of RUN (default: of examples/tiny.yaml's, made first)
	@mkdir -p build
	@$(if $(RUN),,rm -rf build/tiny && $(BIN)/mopd run examples/tiny.yaml --run build/tiny)
	@$(BIN)/mopd report "$(or $(RUN),build/tiny)" --out build/report.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet -f tools/site/mkdocs.yml
	@echo "build/site/index.html; with search: python3 -m http.server -d build/site"

release: environment ## sdist and wheel of VERSION in dist/, and what CHANGELOG.md says of it in build/release_notes.md
	@mkdir -p build && rm -rf dist
	@$(BIN)/python tools/release_notes.py "$$VERSION" > build/release_notes.md
	@$(BIN)/uv build --quiet --no-build-isolation --offline --python $(BIN)/python --out-dir dist .

lock: environment ## resolve requirements/*.lock again
	@$(BIN)/python tools/lock.py

clean: ## remove the environment and what tools left behind; runs are kept
	@rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
