# Needs Python 3.11+, make and PyPI, nothing else.
PYTHON ?= python3
BIN := .venv/bin
TORCH := $(shell sed -n 's/^ *"\(torch[^"]*\)",/\1/p' pyproject.toml)

EXAMPLES := How many days of leave can I carry over?,What exactly counts as a closed sailing?,On which day of the month do wages arrive?

.PHONY: setup chat sample test check gate bench load clean
.DEFAULT_GOAL := setup

setup: .venv/ready

# torch first and alone: elsewhere on Linux, PyPI's torch brings gigabytes of CUDA (see README for the CPU wheels).
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt "$(TORCH)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/rag models prepare
	touch $@

sample: setup
	test -f index/sample/store.sqlite || $(BIN)/rag index samples/handbook --index index/sample --collection handbook

chat: sample
	RAG_EXAMPLES="$(EXAMPLES)" $(BIN)/rag serve --index index/sample

# Fast by default; in CI the slow ones too.
test: setup
	$(BIN)/pytest $(if $(CI),-m "slow or not slow")

# The sample questions that nothing was tuned on, against the figures of the last release.
gate: sample
	$(BIN)/rag evaluate run samples/questions/blind.jsonl --index index/sample --out build/evaluation
	$(BIN)/rag evaluate gate build/evaluation --baseline samples/baseline.json

# 50 users for 5 minutes and half of them for 30: on an idle machine. SHORT=1 takes a minute.
load: setup
	$(BIN)/python -m tests.load $(if $(SHORT),--users 10 --seconds 20 --soak 20 --passages 1000,--soak 1800)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Beside other systems, and from a thousand passages to a million. Needs an idle machine, Debian's packages, half an hour.
bench: .venv-bench/ready
	for name in corpus embedding reading peers pages unchanged server growth; do .venv-bench/bin/python -W ignore -m bench.$$name || exit 1; done

.venv-bench/ready: pyproject.toml constraints.txt bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --constraint constraints.txt "$(TORCH)"
	.venv-bench/bin/pip install --quiet --constraint constraints.txt --requirement bench/requirements.txt --editable ".[postgres]"
	touch $@

clean:
	rm -rf .venv .venv-bench build/bench index/sample
