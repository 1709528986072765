# Everything here works on a fresh clone: the environment in .venv is made on the first call, and again
# when pyproject.toml or constraints.txt changed.
#   make demo       search on an example table for half a minute, and say where the report is
#   make test       lint, types and tests
#   make test-slow  the tests that take minutes: kills, clusters, wheels, stress
#   make lint       lint and types only
#   make meta-train train the shipped policy anew from recorded tasks (docs/meta_training.md); resumable

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.PHONY: demo test test-slow lint meta-train

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Errors only: pip's warnings are about the machine rather than about this project.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
DEMO := runs/demo

# Recorded tasks of other people; only those whose licence lets what is learned from them be shipped.
DATA := $(or $(AUTOMETA_DATA),../shared/data)
PUBLIC := fcnet_hpolib hpobench_mlp nasbench201 nasbench_graph nasbench_macro oboe salinas_deepar salinas_xgboost \
	taskset_text yahpo_lcbench yahpo_nb301 yahpo_rbv2_ranger yahpo_rbv2_rpart yahpo_rbv2_xgboost

# One thread per fit: the tests already run in two processes.
export OMP_NUM_THREADS := 1

demo: $(INSTALLED)
	@rm -rf $(DEMO)
	$(BIN)/autometa search examples/data/tumours.csv --time 30s --no-learn --out $(DEMO)
	@echo "Report: $(CURDIR)/$(DEMO)/report.html"

test: lint
	$(BIN)/python -m pytest -q -n 2

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

meta-train: $(INSTALLED)
	$(BIN)/autometa meta-train --part policy --algorithm joint --steps 15000 --time 3h --synthetic 0.25 --seed 0 \
		--data meta_datasets/tabular $(PUBLIC:%=--data $(DATA)/hpo_tables/%) \
		--exclude $(DATA)/tabular/bench20.txt --exclude $(DATA)/tabular/dev12.txt \
		--out autometa/weights/policy.safetensors

# torch comes first and alone, so that a CPU build is chosen before anything else can ask for another.
$(INSTALLED): pyproject.toml constraints.txt
	@for python in $${PYTHON:-} python3.11 python3 python; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Python 3.11 or newer is needed and none was found: install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV); \
	fi
	@echo "Installing the pinned packages into $(VENV); this takes some minutes the first time"
	@$(PIP) install -c constraints.txt torch
	@$(PIP) install -c constraints.txt -e '.[ray,xgboost,dev]'
	@touch $@
