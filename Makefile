# The commands of this repository. A virtual environment is made in .venv where there is none, and
# installed again only after pyproject.toml or constraints.txt has changed, or web/, whose page it has.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS)
EXAMPLES = $$($(BIN)/python -c 'from importlib.util import find_spec; print(find_spec("skimage").submodule_search_locations[0])')/data
WEB := $(shell find web -path web/node_modules -prune -o -type f -print)
PAGE := src/samkit/annotate/page/index.html

.PHONY: help demo annotate install test test-all parity check lint style types floors bench constraints clean

help:  ## Say what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */make \1\t/' | expand -t 18

demo: $(VENV)/.demo  ## Masks of three photographs, into demo-out/.
	@$(BIN)/samkit auto "$(EXAMPLES)/astronaut.png" "$(EXAMPLES)/coffee.png" "$(EXAMPLES)/chelsea.png" \
		-o demo-out --overlay --force
	@echo "Look at demo-out/astronaut_overlay.jpg, coffee_overlay.jpg and chelsea_overlay.jpg."

annotate: $(VENV)/.annotate  ## The annotator and its page; PHOTOS=folder starts it, too.
	@$(if $(PHOTOS),$(BIN)/samkit annotate "$(PHOTOS)",echo "Start it: $(BIN)/samkit annotate PHOTOS")

install: $(VENV)/.all  ## What every command needs, training and the annotator's page included.
	@echo "Every command is there: $(BIN)/samkit --help"

test: $(VENV)/.dev  ## All tests but the slow ones.
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev  ## All tests.
	$(PYTEST)

parity: $(VENV)/.dev  ## The model beside the official package's outputs, those of ViT-B included.
	$(PYTEST) tests/modeling/test_parity.py

check: lint test  ## Style, types, floors, docs, tests.

lint: style types floors

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

floors: $(VENV)/.dev
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev $(VENV)-official/.made  ## Speed and memory beside the official package, as ratios.
	$(BIN)/python benchmarks/run.py --official $(CURDIR)/$(VENV)-official/bin/python

constraints:  ## Write the newest versions of all dependencies into constraints.txt.
	rm -rf $(VENV)-newest
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet '.[demo,train,text,onnx,annotate,dev]' 'torch==2.13.0'
	$(VENV)-newest/bin/python -m pip freeze --exclude samkit | sed -E 's/\+(cpu|cu[0-9]+)$$//' \
		| grep -v -E '^(nvidia|triton|cuda)-?' > constraints.txt
	rm -rf $(VENV)-newest

clean:  ## Remove the environments and what the demo wrote.
	rm -rf $(VENV) $(VENV)-official demo-out

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "samkit needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@# Debian's python3 has no ensurepip of its own; there pip comes from the system's.
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing samkit into $(VENV); torch is large, so this takes a few minutes."
	@SAMKIT_PAGE=skip $(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.annotate: pyproject.toml constraints.txt $(WEB) | $(VENV)/.made
	@echo "Installing samkit and its annotator into $(VENV); torch is large, so this takes a few minutes."
	@SAMKIT_PAGE=require $(INSTALL) --editable '.[demo,annotate]'
	@touch $@ $(VENV)/.demo

$(VENV)/.all: pyproject.toml constraints.txt $(WEB) | $(VENV)/.made
	@echo "Installing samkit with all it can do into $(VENV); this takes a few minutes."
	@$(INSTALL) --editable '.[demo,train,onnx,annotate,parquet]'
	@touch $@ $(VENV)/.demo
	@test ! -f $(PAGE) || touch $(VENV)/.annotate

$(VENV)/.dev: pyproject.toml constraints.txt $(WEB) | $(VENV)/.made
	@echo "Installing samkit and what its tests need into $(VENV); this takes a few minutes."
	@$(INSTALL) --editable '.[demo,train,text,onnx,annotate,dev]'
	@touch $@ $(VENV)/.demo $(VENV)/.all
	@test ! -f $(PAGE) || touch $(VENV)/.annotate

$(VENV)-official/.made: benchmarks/official/setup.sh
	sh benchmarks/official/setup.sh $(VENV)-official
	@touch $@
