# make demo   sets up, then pretrains MoCo and the recommended variant on the embedded data set, a core each, and measures them
# make test   sets up, then runs the tests, none of which sees a GPU; make test-gpu runs those that need one, and
#             make test-elastic the one that loses a machine
# make docs   sets up, then builds the documentation into site/; a dead link or an unknown name is an error
# make matrix trains, resumes and evaluates every method with every backbone; the table is results/matrix.md
# make proof  sets up, then runs the controlled comparison, nine methods with three seeds, two runs at a time
# make lint, audit and coverage are for who changes the code: style and types, known holes in what is installed, and the
# lines that no test runs, at most a tenth
# A second call does not install again unless pyproject.toml changed. PYTHON=python3.12 chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.installed

.PHONY: demo test test-gpu test-elastic docs proof matrix lint audit coverage setup clean

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: expected Python 3.10 or newer, got $$($(PYTHON) --version). Name one: make PYTHON=python3.12"; exit 1; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check --quiet --editable ".[dev]"
	@touch $(READY)

demo: setup
	$(RUN) train.py sweep=demo hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.sweep.dir=runs/demo
	$(RUN) eval.py "task=[linear,retrieval,scenes,cam]" "checkpoint=[random,runs/demo/0,runs/demo/1]" "query=[iid,swap]" clips=4 \
		"tasks.retrieval.ks=[1,5]" tasks.retrieval.pictures=4 tasks.cam.videos=4 "tasks.cam.kinds=[energy]"

test: setup
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal

test-gpu: setup
	$(RUN) -m pytest --gpu -m gpu -rs

test-elastic: setup
	$(RUN) -m pytest --elastic tests/benchmarks/test_elastic.py -rs

proof: setup
	$(RUN) train.py sweep=proof hydra/launcher=joblib hydra.launcher.n_jobs=2

docs: setup    # without --quiet, with which mkdocs counts no warning as an error
	$(RUN) -m pip install --disable-pip-version-check --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@echo "site: site/index.html"

matrix: setup
	$(RUN) -m pytest tests/test_matrix.py --matrix=results/matrix.md

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

audit: setup
	$(RUN) -m pip install --disable-pip-version-check --quiet pip-audit
	$(RUN) -m pip_audit --skip-editable

coverage: setup
	$(RUN) -m pip install --disable-pip-version-check --quiet pytest-cov
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal \
		--cov=tbe --cov-report=term-missing:skip-covered --cov-fail-under=90

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .coverage
