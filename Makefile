# make lab    a JupyterLab with the first notebook open     (ARGS=--no-browser PORT=8890)
# make test   everything that is tested, and a table of what was not
# make bench  the benchmarks, each beside a peer
# make compiled  a wheel with the verifier compiled, in dist/, and unpacked in build/compiled
# make campaign  100,000 generated programs: our verifier, this kernel's, the simulator   (FIRST=0 COUNT=100000)
# make lint | check | clean

VENV ?= .venv
PY   := $(VENV)/bin/python
PORT ?= 8888
ARGS ?=
FIRST ?= 0
COUNT ?= 100000
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

COMPILED := build/compiled/.done

.PHONY: lab compiled test test-vagrant bench screenshots lint campaign clean

lab: $(VENV)/.lab
	$(VENV)/bin/jupyter lab --port=$(PORT) $(ROOT) --LabApp.default_url=/lab/tree/notebooks/00.00-start-here.ipynb $(ARGS)

# A Vagrant guest under emulation takes many minutes to come up: it has its own command.
# Where the verifier cannot be compiled the tests of its compiled build say so.
test: $(VENV)/.test
	tools/debian-packages test
	-$(MAKE) compiled
	@echo "not part of this run: tests/vagrant (make test-vagrant)"
	$(PY) -m pytest --ignore=tests/vagrant $(ARGS)

test-vagrant: $(VENV)/.test
	tools/debian-packages vagrant
	$(PY) -m pytest tests/vagrant $(ARGS)

bench: $(VENV)/.test
	tools/debian-packages test
	-$(MAKE) compiled
	$(PY) -m pytest tests/benchmarks -m benchmark -s $(ARGS)

screenshots: $(VENV)/.test
	EBPFLAB_SCREENSHOTS=docs/screenshots $(PY) -m pytest tests/browser/test_start_here.py tests/browser/test_pictures.py

compiled: $(COMPILED)
	@echo "pip install dist/ebpflab-*-cp*.whl, or PYTHONPATH=build/compiled"

$(COMPILED): $(VENV)/.test pyproject.toml tools/hatch_compiled.py $(wildcard ebpflab/*/*.py)
	rm -rf build/compiled dist/ebpflab-*-cp*.whl
	HATCH_BUILD_HOOKS_ENABLE=1 $(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	$(PY) -m zipfile -e dist/ebpflab-*-cp*.whl build/compiled
	touch $@

campaign: $(VENV)/.test
	mkdir -p artifacts
	nice -n 10 $(PY) -m tests.soundness.campaign --first $(FIRST) --count $(COUNT) --out artifacts/campaign.jsonl $(ARGS)

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/nbstripout --verify notebooks/*.ipynb

$(VENV)/.lab: pyproject.toml tools/venv
	tools/venv $(VENV) lab

$(VENV)/.test: pyproject.toml tools/venv
	tools/venv $(VENV) test

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .benchmarks
