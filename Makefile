.DEFAULT_GOAL := help
PYTHON ?= python

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: install
install: ## install the project and what its tests need
	$(PYTHON) -m pip install -e ".[test]"

.PHONY: format
format: ## rewrite the code in the house's layout
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: lint
lint: ## linter, layout and type checker
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

.PHONY: check
check: lint ## lint, then the layers, every YAML and all tests that are not marked slow
	$(PYTHON) -m pytest

.PHONY: docs
docs: ## build the documentation into site/; a warning is an error
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs site

.PHONY: dist
dist: ## build a wheel and a source archive into dist/
	$(PYTHON) -m hatchling build

.PHONY: ci
ci: ## what must pass before a change lands, in a fresh virtual environment
	bash .ci/run
