# Everything a person or CI does here is one of these verbs; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
UV := $(shell command -v uv || echo .venvs/uv/bin/uv)
SEED ?= 0
CONTROLS := permuted-followups swapped no-training sft
# 1 to 12 were looked at while the recipe and the flow of people were chosen.
SEEDS := 13 14 15

##@ Start
help: ## This list
	@awk 'BEGIN{FS=":.*## "} /^##@/{printf "\n%s\n",substr($$0,5)} /^[a-z-]+:.*## /{printf "  %-12s %s\n",$$1,$$2}' Makefile

# Compiled ahead, as in the images: where nothing may be written beside the sources, every process would compile anew.
setup: .venv/.ready ## Everything a fresh machine needs: .venv (no root), the embedded models
	@$(PY) -m compileall -q services operators
	@$(PY) -m rejoinder.cli.main models build

.venv/.ready: requirements/dev.txt pyproject.toml
	@command -v uv >/dev/null || { python3 -m venv .venvs/uv && .venvs/uv/bin/pip -q install uv; }
	@$(UV) venv -q --allow-existing --python '>=3.11,<3.12' .venv
	@$(UV) pip sync -q --compile-bytecode --python $(PY) --require-hashes requirements/dev.txt
	@$(UV) pip install -q --python $(PY) --no-deps -e .
	@touch $@

# What stands beside us, each with packages of its own: peers of the benches, Triton's interpreter, traced applications.
.venvs/%/.ready: requirements/%.txt .venv/.ready
	@$(UV) venv -q --allow-existing --python '>=3.11,<3.12' .venvs/$*
	@$(UV) pip sync -q --python .venvs/$*/bin/python --require-hashes requirements/$*.txt
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
gen: .venv/.ready ## Regenerate what is generated: stubs, METHODS.md, CRDs
	@$(PY) -m grpc_tools.protoc -Iprotos --python_out=services --pyi_out=services --grpc_python_out=services protos/rejoinder/v1/*.proto
	@$(PY) -m tests.cluster.chart.generate --write
	@$(PY) tests/methods.py --write
	@$(PY) -m rejoinder_operator.api.crd charts/rejoinder-crds/templates

lock: ## Resolve requirements/*.in anew, with hashes
	@cd requirements && for f in dev training services openvino gateway operator client peers litellm infinity triton otel; do \
	  case $$f in dev|litellm|infinity) with=;; triton) with=--no-deps;; *) with="-c dev.txt";; esac; \
	  uv pip compile -q --generate-hashes --python-version 3.11 --universal $$f.in -o $$f.txt $$with; done

check: .venv/.ready ## Format, lint, import walls, protos, generated files, types (under two minutes)
	@mkdir -p build
	@.venv/bin/ruff format --check -q services operators tests loadtests examples
	@.venv/bin/ruff check -q services operators tests loadtests examples
	@.venv/bin/buf lint
	@$(PY) tests/breaking.py
	@.venv/bin/lint-imports --config .importlinter --no-cache >build/imports.txt || { cat build/imports.txt; exit 1; }
	@$(PY) tests/generated.py
	@.venv/bin/mypy >build/types.txt || { cat build/types.txt; echo "types do not hold: CONTRIBUTING.md, Types hold"; exit 1; }

reviewable: gen check ## Regenerate everything and fail on a difference
	@git diff --exit-code --stat

##@ Prove
needs:
	@python3 tests/needs.py

# Compiled before any ring begins, so that no test waits for it: minutes on a cold cache, nothing on a warm one.
programs: needs
	@python3 -m tests.cluster.kubernetes.build kube-apiserver
	@python3 -m tests.cluster.tools.build
	@python3 -m tests.cluster.foreign.crds

test: needs $(if $(filter-out cluster,$(WHAT)),,programs) setup check .venvs/peers/.ready .venvs/triton/.ready .venvs/otel/.ready ## Every ring in short form, as a table; WHAT=cluster for one
	$(if $(filter-out cluster,$(WHAT)),,@$(PY) -m tests.cluster.node.prepare)
	@$(PY) tests/rings.py $(WHAT:%=--ring %)

proof: programs setup .venvs/triton/.ready .venvs/otel/.ready ## The long forms, the demonstration with three seeds and all its controls; kept in reports/
	@python3 -m tests.cluster.tools.build prometheus
	@$(PY) -m tests.cluster.node.prepare --proof
	@MINIATURES=long $(PY) tests/rings.py --proof
	@for seed in $(SEEDS); do for control in "" $(CONTROLS); do \
	  $(PY) -m rejoinder.cli.main demo --seed $$seed $${control:+--control $$control} \
	    --json reports/demo-$$seed$${control:+-$$control}.json --report reports/demo-$$seed$${control:+-$$control}.html || exit 1; \
	done; done
	@$(PY) -m rejoinder.simulate.demands $(foreach seed,$(SEEDS),reports/demo-$(seed).json $(CONTROLS:%=reports/demo-$(seed)-%.json))

chaos: needs setup ## kill -9, full disks, cut networks on three brokers and PostgreSQL: reports/chaos.json
	@$(PY) -m tests.chaos.run --out reports/chaos.json

sim-rollout: .venv/.ready ## The verdict's error rates and speed by simulation: reports/rollout.json
	@$(PY) -m rejoinder.evaluate.sim_rollout --out reports/rollout.json

bench: .venv/.ready ## What a piece of work costs beside its peers: WHAT=ingest|serve|gateway|train -> reports/WHAT.json
	@[ -n "$(WHAT)" ] && [ -d "loadtests/$(WHAT)" ] || { echo "say which: make bench WHAT=ingest|serve|gateway|train"; exit 2; }
	@$(PY) -m loadtests.$(WHAT) --out reports/$(WHAT).json $(BENCH)

load: setup ## A scenario's load on a deployment (or one started for it): SCENARIO=reward -> reports/load-reward.json
	@[ -n "$(SCENARIO)" ] || { echo "say which: make load SCENARIO=$$(ls loadtests/scenarios | sed 's/.yaml//' | paste -sd'|')"; exit 2; }
	@$(PY) -m loadtests $(SCENARIO) $(LOAD)

.PHONY: help setup needs programs read observe demo up gen lock check reviewable test proof chaos sim-rollout bench load
