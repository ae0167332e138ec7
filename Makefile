# make lab    a JupyterLab with the first notebook open     (ARGS=--no-browser PORT=8890)
# make test   everything that is tested, and a table of what was not
# make bench  the benchmarks, each beside a peer
# make campaign  100,000 generated programs: our verifier, this kernel's, the simulator   (FIRST=0 COUNT=100000)
# make lint | check | clean

VENV ?= .venv
PY   := $(VENV)/bin/python
PORT ?= 8888
ARGS ?=
FIRST ?= 0
COUNT ?= 100000
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: lab test test-vagrant bench screenshots lint campaign clean

lab: $(VENV)/.lab
	$(VENV)/bin/jupyter lab --port=$(PORT) $(ROOT) --LabApp.default_url=/lab/tree/notebooks/00.00-start-here.ipynb $(ARGS)

# A Vagrant guest under emulation takes many minutes to come up: it has its own command.
test: $(VENV)/.test
	tools/debian-packages test
	@echo "not part of this run: tests/vagrant (make test-vagrant)"
	$(PY) -m pytest --ignore=tests/vagrant $(ARGS)

test-vagrant: $(VENV)/.test
	tools/debian-packages vagrant
	$(PY) -m pytest tests/vagrant $(ARGS)

bench: $(VENV)/.test
	tools/debian-packages test
	$(PY) -m pytest tests/benchmarks -m benchmark -s $(ARGS)

screenshots: $(VENV)/.test
	EBPFLAB_SCREENSHOTS=docs/screenshots $(PY) -m pytest tests/browser/test_start_here.py tests/browser/test_pictures.py

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
