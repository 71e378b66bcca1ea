# Each target is complete by itself: it makes .venv, installs the pinned versions, and runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STEPS ?= 1000
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e

.PHONY: help demo test lint nano ablation evaluate pages screenshots clean

help:
	@echo "make demo      talk to the bundled model once (files land in ./ar-omni-demo)"
	@echo "make test      run every test"
	@echo "make lint      ruff check and format"
	@echo "make nano      train a model like the bundled one, from data to checkpoint (days on a CPU; resumes)"
	@echo "make evaluate  measure the bundled model on the held-out set (docs/evaluation.json, runs/evaluation)"
	@echo "make ablation  compare losses, norms and decodings in small decoders (resumes; STEPS=$(STEPS))"
	@echo "make screenshots  look at the chat app in Chromium, and keep a picture of each state in docs/app"
	@echo "make pages     write the demo and the measured figures into README and MODEL_CARD"

demo: .venv/installed
	$(BIN)/ar-omni demo

test: .venv/installed-dev
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

nano: .venv/installed-dev
	$(BIN)/python train/prepare_data.py
	$(BIN)/python train/image_tokenizer.py
	$(BIN)/python train/semantic_encoder.py
	$(BIN)/python train/speech_tokenizer.py
	$(BIN)/python train/tokenize_world.py
	$(BIN)/torchrun --nproc_per_node 2 train/pretrain.py
	$(BIN)/python train/bundle.py
	$(BIN)/python train/held_out.py

ablation: .venv/installed-dev
	$(BIN)/python train/ablation.py --jobs 2 --steps $(STEPS)

evaluate: .venv/installed-dev
	$(BIN)/ar-omni evaluate --out docs/evaluation.json --page runs/evaluation
	$(BIN)/python tests/quality.py

pages: .venv/installed-dev
	$(BIN)/python docs/refresh.py

screenshots: .venv/installed-dev
	AR_OMNI_SCREENSHOTS=docs/app $(BIN)/python -m pytest tests/app/test_browser*.py

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) ".[dev,train,eval,serve,app]"
	touch $@ .venv/installed

clean:
	rm -rf build dist .pytest_cache .ruff_cache *.egg-info
