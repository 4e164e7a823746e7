# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export ACKBOX_HOME ?= $(CURDIR)/.ackbox
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTEST_ARGS ?=

# Of the suites of tests/e2e, those whose rules hold in a cluster as well; the others look at a home and its processes.
BOTH := quickstart services nodepools load_balancers network quotas access addons wrong_input cluster_types upgrade
NODE_SUITES ?= tests/node $(BOTH:%=tests/e2e/test_%.py)

.DEFAULT_GOAL := help
.PHONY: help setup demo up down clean test test-node lint generate lock bench docs image

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install everything into .venv (the other targets do it themselves)
	@hack/setup

demo: setup ## Start ackbox, make a cluster with nodes and a Service, and curl it
	@hack/demo

up: setup ## Start the management cluster and ackbox
	@ackbox up

down: setup ## Stop everything, keep all state
	@ackbox down

clean: ## Stop everything and remove all state and .venv
	@if [ -x .venv/bin/ackbox ]; then .venv/bin/ackbox clean; fi
	@rm -rf .venv build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info operator/*.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +

test: setup ## Run every test; PYTEST_ARGS are handed on
	@ackbox fetch
	@PYTHONPATH=tests python -m e2e.fetch
	@pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-node: setup ## Test control planes in Pods, and the chart, on a real node: as root, else skipped with a reason
	@PYTHONPATH=tests python -m node.harness fetch
	@ACKBOX_TEST_NODE=1 ACKBOX_E2E_STACK=node pytest $(NODE_SUITES) $(PYTEST_ARGS)

lint: setup ## Check style, types, import order and generated files
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports
	@python -m ackbox.generate --check

generate: setup ## Write crds/ and, when the dependencies changed, the lock file
	@python -m ackbox.generate

docs: setup ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict

lock: setup ## Pin the newest versions of all dependencies
	@python -m ackbox.generate --upgrade-lock

bench: setup ## Measure nodes beside bare KWOK, Services, and requests beside a bare Envoy; prints tables
	@python -m benchmarks.nodes
	@python -m benchmarks.services

image: ## Build the container image with docker, podman or buildah
	@hack/image
