# What a newcomer needs is Python 3.11 or newer and make; everything else comes into .venv.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help test check bench demo study reliability pages lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

test: .venv/ready ## run the tests (about seven minutes)
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

check: .venv/ready ## lint, formatting, strict types, the typed surface, the one-way imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# MODELS: sizes, as in benchmarks/models.py; PAIRS: preference data; TRL_PYTHON: an interpreter with TRL 1.12.
MODELS ?= 0.5M 0.9M 2.7M 4.3M 20M
PAIRS ?= ../shared/data/hh-rlhf

bench: .venv/ready ## measure speed, compare chat models; results in benchmarks/results/ (35 minutes; see benchmarks/README.md)
	$(BIN)/python -m benchmarks.rollout --models $(MODELS)
	$(BIN)/python -m benchmarks.step --models $(MODELS) --pairs $(PAIRS)
	$(BIN)/python -m benchmarks.chat_templates
ifdef TRL_PYTHON
	$(BIN)/python -m benchmarks.compare_trl --trl-python $(TRL_PYTHON) --pairs $(PAIRS) --work benchmarks/results/compare
endif

demo: .venv/ready ## does refreshing the reward model help? a world of known reward, four arms (about five minutes)
	$(BIN)/frft run demo --out runs/demo

study: .venv/ready ## where refreshes help and where it does not, against predictions (hours; resumable; docs/study.md)
	$(BIN)/frft study averaging --out studies/averaging

# CAMPAIGNS: those of `python -m benchmarks.reliability --help`. Each goes on where it was stopped.
CAMPAIGNS ?= numbers rows contents hostile flips cuts forms disk kills signals folders
RELIABILITY ?= runs/reliability

reliability: .venv/ready ## damage, kill, signal and share runs, thousands of times (hours; resumable; docs/reliability.md)
	for campaign in $(CAMPAIGNS); do $(BIN)/python -m benchmarks.reliability $$campaign --out $(RELIABILITY) --processes 2 || exit 1; done

pages: .venv/ready ## write docs/results.md, which is made of the descriptions in the code
	$(BIN)/python -m frft.results > docs/results.md

lock: ## pin what is installed in .venv now
	$(BIN)/pip freeze --exclude-editable --exclude frft | sed 's/+cpu//' > requirements/lock.txt

clean: ## remove the virtual environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/ready: requirements/lock.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "frft needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
