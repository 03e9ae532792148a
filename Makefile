# Five verbs: demo, test, lint, bench, dev. Each builds .venv itself, and again after requirements.lock has changed;
# all they need is Python 3.11, make and git. `make lock` and `make format` are for those who change the project.

VENV := .venv
PY := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench dev lock format

# Set somewhere, this makes every process compile all its imports anew: 3 s instead of 1 s for `import dagster`.
unexport PYTHONDONTWRITEBYTECODE
# Neither another environment nor loose folders may leak into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:
	@echo "make demo    the example project through its main job, on real flights"
	@echo "make test    all tests"
	@echo "make lint    ruff, mypy --strict, import contracts"
	@echo "make bench   all benchmarks, in short form"
	@echo "make dev     Dagster UI and daemon"

demo: $(VENV)/.installed
	$(PY) -m mlops_assets.cli.demo

# Two processes; a file's tests stay together, so that a Ray cluster or a database is started once per file.
test: $(VENV)/.installed
	$(PY) -m pytest -n 2 --dist loadfile -q

# The cache of import-linter does not notice that a module was added: it went on breaking contracts that were kept.
lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

bench: $(VENV)/.installed
	@found=; for file in bench/*.py; do \
		[ -e "$$file" ] || continue; found=yes; $(PY) "$$file" --short || exit 1; \
	done; [ -n "$$found" ] || echo "bench/ holds no benchmarks yet"

dev: $(VENV)/.installed
	$(VENV)/bin/mlops dev

# Keeps the versions already locked; to lift one: make lock UPGRADE="--upgrade-package pandas".
lock: $(VENV)/.installed
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" $(UPGRADE) requirements-dev.in --output-file requirements.lock

format: $(VENV)/.installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# ---- .venv: made once; an interrupted or too old one is made anew

$(VENV)/.locked: requirements.lock
	@set -e; \
	usable='import sys, pip; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(PY) -c "$$usable" 2>/dev/null; then \
		for python in python3.11 python3 none; do \
			if [ "$$python" = none ]; then echo "Python 3.11 or newer is needed, and not on PATH" >&2; exit 1; fi; \
			if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
		done; \
		echo "==> making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV); \
	fi
	@echo "==> installing the $$(grep -c '==' requirements.lock) packages of requirements.lock"
	@$(PY) -m pip install --quiet "$$(grep '^uv==' requirements.lock)" || echo "==> no uv here: pip does it, slower"
	@if [ -x $(VENV)/bin/uv ] && $(VENV)/bin/uv pip install --python $(PY) --compile-bytecode -r requirements.lock; then :; \
	else echo "==> installing with pip"; $(PY) -m pip install -r requirements.lock; fi
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml requirements.in
	@echo "==> installing the project itself, editable"
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
