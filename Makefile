PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test menu bench

demo: .venv/installed
	$(BIN)/python menu.py demo

menu: .venv/installed
	$(BIN)/python menu.py

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pip check
	@# Two files at a time, one thread each: more threads than cores would wait for each other.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: .venv/installed
	$(BIN)/python -m benchmarks

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	touch $@
