# The two commands of a fresh machine are `make demo` and `make test`; everything else is a part of them.

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench mutants stop
PYTHON := .venv/bin/python
# Extra arguments for pytest or the bench: make test ARGS="-k predict"
ARGS ?=

help: ## what can be made (this list)
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

setup: ## environment, container engine, base image and CIFAR-10: whatever of it is missing
	@scripts/setup all

demo: setup ## the whole path on real input: build, train, serve, predict
	@$(PYTHON) scripts/demo.py

test: setup ## lint, types, architecture and all tests (ARGS="-k name" goes to pytest)
	@scripts/setup sdk-v2
	@scripts/test $(ARGS)

lint: ## only lint, types and architecture
	@scripts/setup env
	@scripts/test --lint

bench: setup ## measurements against the alternatives, side by side (ARGS="--only NAME")
	@$(PYTHON) -m bench $(ARGS)

mutants: setup ## every rule of `byoc check` on every mutant: the table in docs/check.md
	@$(PYTHON) -m scripts.mutants

stop: ## end the container engine, if the set-up started it
	@scripts/setup stop
