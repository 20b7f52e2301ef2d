# `make train` sets up and runs the main job; `make test` sets up and passes the tests.
# The first Python that is new enough; `make PYTHON=/path/to/python train` takes another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11, \
  $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
SEED ?= 0
RUN := checkpoints/fashion-mnist-dec-s$(SEED)
DEMO := checkpoints/digits-demo
BIN := .venv/bin

.PHONY: help setup train test check demo tensorboard clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

setup: .venv/.installed ## .venv with everything that pyproject.toml asks for

# The exact versions behind the published figures, or, where an index does not have them, the ranges of pyproject.toml.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UNAVAILABLE := No matching distribution|ResolutionImpossible|requires a different Python

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; } \
	  || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 2; }
	@echo "Installing into .venv (a few minutes, several GB with torch) …" >&2
	@$(PIP) -c constraints.txt -e '.[dev]' 2>.venv/pip.log \
	  || { grep -Eq '$(UNAVAILABLE)' .venv/pip.log || { cat .venv/pip.log >&2; exit 1; }; \
	       echo "Not all versions of constraints.txt are to be had here; taking the ranges of pyproject.toml." >&2; \
	       $(PIP) -e '.[dev]'; }
# UMAP compiles half a minute when it is first imported, and keeps most of it.
	@echo "Compiling UMAP (half a minute) …" >&2
	@$(BIN)/python -c 'from system.cache import umap_library; umap_library()' || true
	@touch $@

train: setup ## the main job: DEC on Fashion-MNIST, then its evaluation
	@$(BIN)/python -m data.fetch fashion-mnist
	@$(BIN)/python train.py --method dec --seed $(SEED) --resume
	@$(MAKE) --no-print-directory $(RUN)/table.txt
	$(call show,$(RUN))

demo: setup ## the same job, shorter, on scikit-learn's embedded digits, under a minute
	@$(BIN)/python train.py --method dec --data digits --out $(DEMO) --resume \
	  --set pretrain.min_steps=500 --set cluster.min_steps=500
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
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

tensorboard: setup ## what the runs in checkpoints/ logged, on http://localhost:6006
	$(BIN)/tensorboard --logdir checkpoints

clean: ## take away .venv and caches; runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
