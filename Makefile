# `make train` sets up and runs the main job; `make test` sets up and passes the tests.
PYTHON ?= python3
SEED ?= 0
RUN := checkpoints/fashion-mnist-dec-s$(SEED)
DEMO := checkpoints/digits-dec-s0
BIN := .venv/bin

.PHONY: help setup train test check demo tensorboard clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

setup: .venv/.installed ## .venv with everything that pyproject.toml asks for

# The exact versions behind the published figures, and the ranges of pyproject.toml where these cannot be had.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' \
	  || { echo "The versions of constraints.txt are not to be had here; taking the ranges of pyproject.toml."; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; }
	@touch $@

train: setup ## the main job: DEC on Fashion-MNIST, then its evaluation
	@$(BIN)/python -m data.fetch fashion-mnist
	@$(BIN)/python train.py --method dec --seed $(SEED) --resume
	@$(MAKE) --no-print-directory $(RUN)/table.txt
	$(call show,$(RUN))

demo: setup ## the same on scikit-learn's embedded digits, under a minute
	@$(BIN)/python train.py --method dec --data digits --resume
	@$(MAKE) --no-print-directory $(DEMO)/table.txt
	$(call show,$(DEMO))

# Scored again only when the checkpoint is new.
checkpoints/%/table.txt: checkpoints/%/checkpoint.pt
	@$(BIN)/python eval.py $< --split all --figures $(@D)/figures --output $@

define show
@cat $(1)/table.txt
@echo; echo "checkpoint   $(1)/checkpoint.pt"
@echo "figures      $(1)/figures/"
@echo "TensorBoard  make tensorboard"
endef

test: setup ## the tests
	$(BIN)/python -m pytest

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

tensorboard: setup ## what the runs in checkpoints/ logged, on http://localhost:6006
	$(BIN)/tensorboard --logdir checkpoints

clean: ## take away .venv and caches; runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
