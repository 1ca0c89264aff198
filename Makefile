# make env    .venv with the pinned dependencies and endoforge in it
# make demo   the whole journey: simulate, prune, train, evaluate, report (demo/report.html)
# make test   `make lint`, all tests
# make coverage  all tests, and what branches they don't take: a quarter longer, so CI doesn't
# make lint   ruff, mypy, import layers
# make kernels  compile what tests render with, where it isn't compiled yet; `make test` does it beside mypy
# make quick  ruff, and the fast tests of what needs neither renderer nor training: under a minute
# make test-lowest  a short suite with the oldest versions that pyproject.toml allows (.venv-lowest)
# make fuzz   hostile files for every reader, an hour long (FUZZ_SECONDS=600: ten minutes)
# make golden  renew what the renderer's slow twin sees (tests/sim/moments.npz)
# make figures  renew the pictures of the README
# make flags   renew the tables of flags in the documents
# make gallery  renew the pictures of docs/gallery.md
# make view-shots  renew the pictures of docs/sim-view.md and of the timeline
# make site   the documentation as a web site (site/index.html); a warning or a broken link ends it
# make cards  renew the cards of docs/cards/
# make clean  remove what `make demo` wrote (the environment stays)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.endoforge-env
FUZZ_SECONDS ?= 3600
LOWEST := .venv-lowest
TORCH  ?=
# Files in the order of tests/conftest.py, the longest first; else xdist begins with those of most tests.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: env demo test kernels coverage lint quick test-lowest fuzz golden figures flags gallery view-shots site cards clean
.DEFAULT_GOAL := env

env: $(STAMP)

# $(call environment,FOLDER,CONSTRAINTS,PACKAGES)
define environment
@if command -v uv >/dev/null 2>&1; then \
  echo "environment: uv, $(1)"; \
  uv venv --allow-existing --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(1) && \
  uv pip install --quiet --python $(1)/bin/python -c $(2) $(3); \
else \
  echo "environment: venv and pip, $(1) (the first time takes a few minutes)"; \
  $(PYTHON) -m venv $(1) && \
  $(1)/bin/python -m pip install --quiet --disable-pip-version-check -c $(2) $(3); \
fi
endef

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "EndoForge needs Python 3.11 or newer; choose one with: make env PYTHON=python3.12" >&2; exit 2; }
	$(call environment,$(VENV),constraints.txt,-e '.[dev]')
	@touch $(STAMP)

demo: env
	$(BIN)/endoforge demo

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The on-disk format, indexes, matching and metrics, tracking, docs' habits; in one process.
QUICK_TESTS := tests/core tests/captures tests/evaluate tests/tracking tests/test_habits.py

quick: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -q -m "not slow" $(QUICK_TESTS)

# Processes that test side by side leave no core to threads, which would wait for each other.
test coverage test-lowest: export OMP_NUM_THREADS := 1

# The kernels that tests render with are compiled beside mypy, which has one core too.
test: env
	@$(MAKE) --no-print-directory -j2 lint kernels
	$(BIN)/pytest $(SIDE_BY_SIDE)

kernels: env
	@$(BIN)/python -m tests.kept_kernels

coverage: env
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report=
	@echo "branch coverage: files below 80 %, and in all"
	@$(BIN)/coverage report --sort=cover | awk '$$NF + 0 < 80 || /^TOTAL/'

# A test a package, and the journey from seeds to scores. webgpu's versions are those of constraints.txt.
LOWEST_TESTS := \
  tests/test_cli.py::test_the_journey_command_by_command \
  tests/captures/test_index.py tests/captures/test_pictures.py tests/captures/test_video.py \
  tests/formats/test_coco.py tests/formats/test_round_trip.py tests/formats/test_parquet.py \
  tests/evaluate/test_metrics.py tests/evaluate/test_metrics_against_coco.py \
  tests/report/test_eval_page.py tests/inference/test_detect.py tests/export/test_export.py \
  tests/backends/test_torch_backend.py tests/train/test_tensorboard.py tests/bench/test_bench.py \
  tests/sim/test_simulator.py tests/view/test_server.py

LOWEST_PACKAGES := --no-compile -e '.[export,parquet,tensorboard,webgpu]' \
  httpx hypothesis pycocotools pytest pytest-cov pytest-xdist

# TORCH=2.13.0 takes another torch: of its lowest, PyPI has CUDA builds alone for Linux, 4 GB. PYTHON
# must be 3.11, for the oldest NumPy knows none that is newer.
test-lowest: $(LOWEST)/.torch-$(TORCH)
	$(LOWEST)/bin/pytest -q $(SIDE_BY_SIDE) --maxprocesses 2 -m "not slow" $(LOWEST_TESTS)

$(LOWEST)/.torch-$(TORCH): pyproject.toml constraints.txt tools/lowest_versions.py
	rm -rf $(LOWEST)
	mkdir $(LOWEST)
	$(PYTHON) tools/lowest_versions.py $(TORCH) > $(LOWEST)/constraints.txt
	$(call environment,$(LOWEST),$(LOWEST)/constraints.txt,$(LOWEST_PACKAGES))
	@touch $@

fuzz: env
	@end=$$(( $$(date +%s) + $(FUZZ_SECONDS) )); \
	while [ $$(date +%s) -lt $$end ]; do \
	  FUZZ_EXAMPLES=500 $(BIN)/pytest -q tests/fuzz/test_readers.py tests/fuzz/test_what_cards_read.py || exit 1; \
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
	$(BIN)/python -m tools.make_view_shots
	$(BIN)/python -m tools.make_timeline_shot

# All anew each time: pages that haven't changed would not be warned of again.
site: env
	rm -rf site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs/site . site
	@echo "open site/index.html"

cards: env
	$(BIN)/python tools/make_cards.py

clean:
	rm -rf demo
