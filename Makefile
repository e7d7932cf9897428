# The whole interface for a contributor: make demo, make test, make check, make bench, make audit.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench audit install lock clean

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/kilnlight demo --out demo

test: $(STAMP)
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/pytest -s tests/benchmarks/bench_*.py

# The attacks on releases of reports, drawn long; prints the losses measured.
audit: $(STAMP)
	$(BIN)/pytest -s tests/audit/audit_release.py

# Write the pinned versions anew (needs uv); names, versions and hashes only, no addresses.
lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.txt

clean:
	rm -rf demo $(VENV)
