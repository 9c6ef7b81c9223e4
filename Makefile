# Everything runs in an environment of its own, .venv, made from the lock file.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run test test-browser test-images lint docs bench bench-features ui lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "tinybench needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

run: .venv/ready ## Train the quickstart recipe, both phases, on digits
	$(BIN)/tinybench train --recipe quickstart
	@echo "Open the UI with: make ui   (then http://127.0.0.1:5000)"

test: .venv/ready ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-browser: .venv/ready ## Look at the pages of MLflow in Debian's Chromium
	$(BIN)/python -m pytest -m browser -rs tests/browser

test-images: .venv/ready ## Build the images of docker/ and run them; takes root, buildah, debootstrap and 25 GB of disk
	$(BIN)/python -m pytest -m image -rs tests/docker

lint: .venv/ready ## Check style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/ready ## Build the documentation in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/ready ## Print the benchmarks
	$(BIN)/python -m benchmarks

bench-features: .venv/ready ## Print stored features and engines beside plain Keras (hours)
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.feature_accuracy

ui: .venv/ready ## Open the MLflow UI on the runs of this folder
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui

lock: .venv/ready ## Pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra gpu --universal --python-version 3.11 --constraint requirements.lock \
		--no-emit-index-url --no-annotate --no-header --quiet | grep '^nvidia-.*-cu12' > docker/gpu.lock

clean: ## Remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache site
