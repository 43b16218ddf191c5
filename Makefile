# make demo   fine-tunes a small bundled model and shows what it learned:  make demo NAME=Ada AUTHOR="Ada Lab"
# make test   installs what the tests need and runs them all
# make page   builds the studio's page, which `tunesmith webui` shows; it needs npm
# All make .venv first, with the torch build that fits this machine.

PYTHON ?= python3
NAME ?= Tuna
AUTHOR ?= the Tunesmith demo
export NAME AUTHOR

ifeq ($(OS),Windows_NT)
VENV_PYTHON := .venv/Scripts/python.exe
else
VENV_PYTHON := .venv/bin/python
endif

.PHONY: demo install test lint bench page screenshots

demo: install
	@$(VENV_PYTHON) -m tunesmith demo --name "$$NAME" --author "$$AUTHOR"

install:
	@$(PYTHON) setup/install.py --extras llamacpp

test:
	@$(PYTHON) setup/install.py --extras test
	-@$(VENV_PYTHON) setup/page.py --if-needed
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
		$(VENV_PYTHON) -m pytest -n logical --maxprocesses 4 --dist worksteal

page:
	@$(or $(wildcard $(VENV_PYTHON)),$(PYTHON)) setup/page.py

screenshots:
	@$(PYTHON) setup/install.py --extras test
	@$(VENV_PYTHON) setup/page.py --if-needed
	@$(VENV_PYTHON) -m tests.web.browser.screenshots

lint:
	@$(PYTHON) setup/install.py --extras lint
	@$(VENV_PYTHON) -m ruff check src tests setup benchmarks
	@$(VENV_PYTHON) -m ruff format --check src tests setup benchmarks
	@$(VENV_PYTHON) -m mypy

bench: install
	@$(VENV_PYTHON) benchmarks/run.py
