# make demo   install, render the sample, say where it is
# make test   install, run the tests
# make dreams CLIPS=folder OUT=folder [PRESET=name] [EXT=webm] [OPTIONS='--width 640']
#             render every clip of a folder; what is up to date is skipped
# make gallery   make the pictures of docs/gallery.md and docs/presets.md anew
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VIDREAM ?= $(BIN)/vidream

CLIPS ?= clips
OUT ?= dreams
PRESET ?= creatures
EXT ?=
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
	for what in kills scaling model memory; do $(BIN)/python benchmarks/cluster.py $$what || exit 1; done

# The commands are those that the gallery shows, so that they are true.
gallery: install
	@sed -n 's/^[$$] vidream //p' docs/gallery.md | while read -r arguments; do \
	echo "vidream $$arguments"; $(VIDREAM) $$arguments --quiet --overwrite || exit 1; done
	$(BIN)/python samples/make_presets.py

# Names of clips may hold spaces, quotes and percent signs, which make's own lists cannot.
CLIP_KINDS := mp4 m4v mov qt mj2 3gp 3g2 f4v ism ismv psp mkv mk3d webm avi divx mpg mpeg m1v m2v mpv \
	vob mod tod ts mts m2ts m2t trp wmv asf flv ogv ogg ogm gif apng y4m nut ivf h264 264 avc h26l \
	hevc h265 265 obu mjpeg mjpg mxf dv dif wtv rm rmvb

# By the environment, for the shell to take names as they are.
dreams: export CLIPS := $(CLIPS)
dreams: export OUT := $(OUT)
dreams: export EXT := $(EXT)
dreams: install
	@test -d "$$CLIPS" || { echo "make: no folder $$CLIPS: put clips there, or say CLIPS=folder" >&2; exit 1; }
	@mkdir -p -- "$$OUT"
	@mapfile -d '' clips < <(find "$$CLIPS" -maxdepth 1 -type f ! -name '.*' \
	\( -false $(CLIP_KINDS:%=-o -iname '*.%') -o -iname '*.webp' -exec grep -qa ANMF {} \; \) \
	-print0 | sort -z) && \
	{ test $${#clips[@]} -gt 0 || { echo "make: no clips in $$CLIPS"; exit; }; } && \
	$(VIDREAM) --preset '$(PRESET)' $(OPTIONS) $${EXT:+--suffix "$$EXT"} --overwrite -o "$$OUT/" -- "$${clips[@]}"

clean:
	rm -rf build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
