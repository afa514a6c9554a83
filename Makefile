# What CI calls is what a developer calls.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SETS ?= ../shared/data

.PHONY: run test lint bench

run: $(VENV)/ready  ## the demo: four phases, a receipt, a promoted release
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/graft run --promote

test: $(VENV)/ready  ## two files at a time; a file's tests stay together, since they share what costs seconds
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks.one_pass
	$(BIN)/python -m benchmarks.encoding
	$(BIN)/python -m benchmarks.preparation
	$(BIN)/python -m benchmarks.serving_images
	$(BIN)/python -m benchmarks.prediction_log
	$(BIN)/python -m benchmarks.bulk $(SETS)/text-classification/banking77/train.csv 20000 data/deployment/bundle
	$(BIN)/python -m benchmarks.fuzz_server
	$(BIN)/python -m benchmarks.hot_reload
	$(BIN)/python -m benchmarks.kill_promote
	$(BIN)/python -m benchmarks.damaged_bundle
	$(BIN)/python -m benchmarks.openapi
	$(BIN)/python -m benchmarks.serving $(SETS)/text-classification/banking77/test.csv .graft/bench/serving
	$(BIN)/python -m benchmarks.cold_start .graft/bench/serving/releases
	$(BIN)/python -m benchmarks.overload .graft/bench/serving/releases $(SETS)/text-classification/banking77/test.csv
	$(BIN)/python -m benchmarks.quantised $(SETS) .graft/bench/forms
	$(BIN)/python -m benchmarks.selection $(SETS) .graft/bench
	$(BIN)/python -m benchmarks.selection_full $(SETS) .graft/bench
	$(BIN)/python -m benchmarks.trainer $(SETS) .graft/bench/trainer
	$(BIN)/python -m benchmarks.contrastive $(SETS) .graft/bench/contrastive
	$(BIN)/python -m benchmarks.scopes $(SETS) .graft/bench/scopes small store
	$(BIN)/python -m benchmarks.kills .graft/bench/kills
	$(BIN)/python -m benchmarks.planted_faults $(SETS)/text-classification/trec/train.csv $(SETS)/text-classification/banking77/train.csv

$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[demo,dev]'
	touch $@
