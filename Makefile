PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check menu bench lock

demo: .venv/installed
	$(BIN)/python menu.py demo

menu: .venv/installed
	$(BIN)/python menu.py

# Style, types and the tests that hardly need torch.
check: .venv/tested
	$(BIN)/python .ci/check.py

test: .venv/tested
	$(BIN)/python .ci/check.py --all

bench: .venv/installed
	$(BIN)/python -m benchmarks

# The whole tree as installed here, names and versions alone: neither hosts nor paths of this machine.
lock: .venv/tested
	echo "# Linux, x86-64, Python 3.11: what requirements-dev.txt installed. Made by make lock." > requirements.lock
	$(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip >> requirements.lock

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

.venv/tested: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install -r requirements-dev.txt
	touch $@
