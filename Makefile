# Two commands: `make demo` restores a photograph, `make test` runs the tests. Both set up .venv first.
# `make quality` measures the weights that ship; CLIPS=FOLDER, a folder of videos, adds those for videos.
# While you work: `make check`, which leaves the slow tests out. ARGS is passed on to pytest: make test ARGS=--no-skips
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev

.PHONY: demo test check lint format clean
demo: $(VENV)/.installed
	$(BIN)/restore-jax demo -o demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.needed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

quality: $(VENV)/.installed-dev
	$(BIN)/python -m tools.quality.deblur
	$(BIN)/python -m tools.quality.defocus
ifdef CLIPS
	$(BIN)/python -m tools.quality.vsr "$(CLIPS)" --weights refvsr basicvsr basicvsr-memory-small
	$(BIN)/python -m tools.quality.seams "$(CLIPS)"
else
	@echo "videos: not measured; give a folder of them: make quality CLIPS=FOLDER"
endif

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "restore-jax needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info
