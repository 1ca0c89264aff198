# make env    .venv with the pinned dependencies and endoforge in it
# make demo   the whole journey: simulate, prune, train, evaluate, report (demo/report.html)
# make test   ruff, mypy, import layers, tests
# make fuzz   hostile files for every reader, an hour long (FUZZ_SECONDS=600: ten minutes)
# make golden  renew what the renderer's slow twin sees (tests/sim/moments.npz)
# make figures  renew the pictures of the README
# make flags   renew the tables of flags in the documents
# make gallery  renew the pictures of docs/gallery.md
# make view-shots  renew the pictures of docs/sim-view.md
# make clean  remove what `make demo` wrote (the environment stays)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.endoforge-env
FUZZ_SECONDS ?= 3600

.PHONY: env demo test fuzz golden figures flags gallery view-shots clean
.DEFAULT_GOAL := env

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "EndoForge needs Python 3.11 or newer; choose one with: make env PYTHON=python3.12" >&2; exit 2; }
	@if command -v uv >/dev/null 2>&1; then \
	  echo "environment: uv, .venv"; \
	  uv venv --allow-existing --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	  echo "environment: venv and pip, .venv (the first time takes a few minutes)"; \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $(STAMP)

demo: env
	$(BIN)/endoforge demo

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

fuzz: env
	@end=$$(( $$(date +%s) + $(FUZZ_SECONDS) )); \
	while [ $$(date +%s) -lt $$end ]; do \
	  FUZZ_EXAMPLES=500 $(BIN)/pytest -q tests/fuzz/test_readers.py || exit 1; \
	done

golden: env
	$(BIN)/python -m tests.sim.moments

figures: env
	$(BIN)/python tools/make_figures.py

flags: env
	$(BIN)/python tools/make_flag_tables.py

gallery: env
	$(BIN)/python tools/make_gallery.py

view-shots: env
	$(BIN)/python tools/make_view_shots.py

clean:
	rm -rf demo
