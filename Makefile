# make book      build the book; the path to open is printed at the end
# make test      run every check: lint, units, notebooks, the built pages
# make notebooks execute the chapters whose source or library code changed
# make train     train the three-head network on simulated photographs
# make bench     run the benchmarks, each a ratio measured in one run, and write benchmarks/results.json
# make clean     remove what make made, and keep .venv
# Each target sets up .venv by itself, and again only when pyproject.toml changed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PAGES := book/_build/html
BOOK_SOURCES = $(wildcard chapters/*.ipynb benchmarks/results.json benchmarks/rows.py) $(shell find book -type f -not -path 'book/_build/*' -not -name '*.pyc')

.PHONY: help book test test-library test-chapters lint notebooks train bench clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(READY): pyproject.toml
	@echo "== setting up .venv (several gigabytes the first time, PyTorch being most of it)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("PhotoPilot needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[book,test,scale]'
	@touch $@

notebooks: $(READY)
	$(BIN)/python book/notebooks.py execute

$(PAGES)/index.html: $(READY) $(BOOK_SOURCES)
	$(BIN)/jupyter-book build . --config book/_config.yml --toc book/_toc.yml --path-output book -W -n -q
	@touch $@

book: notebooks
	@$(MAKE) --no-print-directory $(PAGES)/index.html
	@echo "The book is built. Open it in a browser: file://$(CURDIR)/$(PAGES)/index.html"

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks book data
	$(BIN)/ruff format --check src tests benchmarks book data

# nbval executes every chapter again and compares the key cells; the pages are tested as built.
# What executes chapters runs beside the rest: either alone leaves one of two cores idle. Chapters
# get one thread then: two programs with two threads each wait for one another most of the time.
test: lint
	$(BIN)/python book/notebooks.py check
	@$(MAKE) --no-print-directory $(PAGES)/index.html
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-library test-chapters
	@echo "Every check passed."

test-library: $(READY)
	$(BIN)/pytest -m "not long" --ignore=tests/colab tests

test-chapters: $(READY)
	$(BIN)/pytest -m "not long" tests/colab
	OMP_NUM_THREADS=1 $(BIN)/pytest -p no:cacheprovider --nbval-lax --nbval-current-env chapters

train: $(READY)
	$(BIN)/photopilot train --simulated 1000 --out runs/simulated

bench: $(READY)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf book/_build runs prepared .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
