# Everything a person or CI does here is one of these verbs; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
UV := $(shell command -v uv || echo .venvs/uv/bin/uv)
SEED ?= 0
CONTROLS := permuted-followups swapped no-training sft

##@ Start
help: ## This list
	@awk 'BEGIN{FS=":.*## "} /^##@/{printf "\n%s\n",substr($$0,5)} /^[a-z-]+:.*## /{printf "  %-12s %s\n",$$1,$$2}' Makefile

setup: .venv/.ready ## Everything a fresh machine needs: .venv (no root), the embedded models
	@$(PY) -m rejoinder.cli.main models build

.venv/.ready: requirements/dev.txt pyproject.toml
	@command -v uv >/dev/null || { python3 -m venv .venvs/uv && .venvs/uv/bin/pip -q install uv; }
	@$(UV) venv -q --allow-existing --python '>=3.11,<3.12' .venv
	@$(UV) pip sync -q --python $(PY) --require-hashes requirements/dev.txt
	@$(UV) pip install -q --python $(PY) --no-deps -e .
	@touch $@

read: .venv/.ready
	@$(PY) -m rejoinder.cli.main models build --only signals --only heads

observe: read ## The main job: real conversations in, satisfaction by reason and a round's plan out
	@$(PY) -m rejoinder.cli.main import tests/data/hh/excerpt.jsonl.gz --data build/observed
	@$(PY) -m rejoinder.cli.main round plan --data build/observed

demo: setup ## The whole loop with simulated people: three rounds, three pushes, reports/demo.html
	@$(PY) -m rejoinder.cli.main demo --seed $(or $(filter-out 0,$(SEED)),1) --json reports/demo.json --report reports/demo.html

up: setup ## Every service on this machine, until Ctrl-C
	@$(PY) -m rejoinder.cli.main up

##@ Change
gen: .venv/.ready ## Regenerate what is generated: stubs, METHODS.md
	@$(PY) -m grpc_tools.protoc -Iprotos --python_out=services --pyi_out=services --grpc_python_out=services protos/rejoinder/v1/*.proto
	@$(PY) tests/methods.py --write

lock: ## Resolve requirements/*.in anew, with hashes
	@cd requirements && for f in dev training services client; do \
	  uv pip compile -q --generate-hashes --python-version 3.11 $$f.in -o $$f.txt $$([ $$f = dev ] || echo "-c dev.txt"); done

check: .venv/.ready ## Format, lint, import walls, protos, generated files (under two minutes)
	@mkdir -p build
	@.venv/bin/ruff format --check -q services tests
	@.venv/bin/ruff check -q services tests
	@.venv/bin/buf lint
	@.venv/bin/lint-imports --config .importlinter --no-cache >build/imports.txt || { cat build/imports.txt; exit 1; }
	@$(PY) tests/generated.py

reviewable: gen check ## Regenerate everything and fail on a difference
	@git diff --exit-code --stat

##@ Prove
test: setup check ## Every ring in short form, with its budget, as a table
	@$(PY) tests/rings.py

proof: setup ## The long forms, the demonstration with three seeds and all its controls; kept in reports/
	@MINIATURES=long $(PY) tests/rings.py --proof
	@for seed in 1 2 3; do for control in "" $(CONTROLS); do \
	  $(PY) -m rejoinder.cli.main demo --seed $$seed $${control:+--control $$control} \
	    --json reports/demo-$$seed$${control:+-$$control}.json --report reports/demo-$$seed$${control:+-$$control}.html || exit 1; \
	done; done

sim-rollout: .venv/.ready ## The verdict's error rates and speed by simulation: reports/rollout.json
	@$(PY) -m rejoinder.evaluate.sim_rollout --out reports/rollout.json

.PHONY: help setup read observe demo up gen lock check reviewable test proof sim-rollout
