# make demo   install, render the sample, say where it is
# make test   install, run the tests
# make dreams CLIPS=folder OUT=folder [PRESET=name] [OPTIONS='--width 640'] [-j N]
#             render every clip of a folder
# make gallery   make the pictures of docs/gallery.md and docs/presets.md anew
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VIDREAM ?= $(BIN)/vidream

CLIPS ?= clips
OUT ?= dreams
PRESET ?= creatures
EXT ?= mp4
OPTIONS ?=

.PHONY: help install demo test coverage check format bench dreams gallery clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

demo: install
	@mkdir -p $(OUT)
	$(VIDREAM) samples/clouds.mp4 -o $(OUT)/clouds.mp4 --overwrite
	$(VIDREAM) samples/clouds.mp4 -o $(OUT)/clouds.gif --overwrite --duration 2 --fps 12.5 --width 320
	@echo 'The dreams are in $(OUT)/clouds.mp4 and $(OUT)/clouds.gif'

test: install
	$(BIN)/pytest --cov --cov-report=term --cov-fail-under=90

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/roundtrip.py
	$(BIN)/python benchmarks/recording.py --minutes 10
	$(BIN)/python benchmarks/fuzz.py 500
	$(BIN)/python benchmarks/coherence.py
	$(BIN)/python benchmarks/frame.py samples/clouds.mp4
	$(BIN)/python benchmarks/true_motion.py samples/cat.jpg samples/person.jpg --kinds hand front
	$(BIN)/python benchmarks/speed.py --small
	$(BIN)/python benchmarks/reliability.py --kills 5 --dreams 2

# The commands are those that the gallery shows, so that they are true.
gallery: install
	@sed -n 's/^[$$] vidream //p' docs/gallery.md | while read -r arguments; do \
	echo "vidream $$arguments"; $(VIDREAM) --quiet --overwrite $$arguments || exit 1; done
	$(BIN)/python samples/make_presets.py

# Names of clips may hold spaces and quotes, which make's own lists cannot: the clips are a list of
# NUL-ended lines in a file, and clip-N renders the Nth. A dream has its name only when it is whole,
# and one that was cut short is gone on with. Threads that wait sleep: with several clips at once,
# spinning ones would take the processor from those that work.
CLIP_KINDS := mp4 mov m4v mkv webm avi mpg mpeg ts mts m2ts 3gp ogv wmv flv gif y4m nut

dreams: install
	@test -d '$(CLIPS)' || { echo "make: no folder $(CLIPS): put clips there, or say CLIPS=folder" >&2; exit 1; }
	@mkdir -p '$(OUT)'
	@list=$$(mktemp) && trap 'rm -f "$$list"' EXIT && \
	find '$(CLIPS)' -maxdepth 1 -type f ! -name '.*' \( -false $(CLIP_KINDS:%=-o -iname '*.%') \) -print0 | sort -z > "$$list" && \
	twice=$$(sed -z 's/\.[^.]*$$//' "$$list" | uniq -dz | tr '\0' ' ') && \
	{ test -z "$$twice" || { echo "make: two clips share a name: $$twice; rename one" >&2; exit 1; }; } && \
	count=$$(tr -cd '\0' < "$$list" | wc -c) && \
	$(MAKE) --no-print-directory -k LIST="$$list" clips COUNT=$$count

.PHONY: clips
clips: $(addprefix clip-,$(shell seq 1 $(or $(COUNT),0)))

clip-%:
	@clip=$$(sed -zn '$*p' '$(LIST)' | tr -d '\0'); name=$$(basename "$$clip"); name="$${name%.*}.$(EXT)"; \
	dream='$(OUT)'/"$$name"; \
	if test "$$dream" -nt "$$clip"; then echo "$$dream is up to date"; exit; fi; \
	OMP_WAIT_POLICY=passive $(VIDREAM) --preset '$(PRESET)' $(OPTIONS) --overwrite --resume -o "$$dream" -- "$$clip" && \
	echo "$$dream is done"

clean:
	rm -rf build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
