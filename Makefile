# `make demo` and `make test` set up all they need in $(VENV), from the pinned requirements.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint torch jax lock clean
demo: $(VENV)/.installed
	$(BIN)/telmo demo

# Two processes, since most of a test is Python that traces graphs; a file's tests stay together, with what they share,
# and the files in their order, the slow ones first.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# PyTorch, to read what it saved; the tests of that are skipped without it. Not pinned by hash, since which build suits a
# machine (CPU, CUDA) is for its index to say.
torch: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0

# JAX, the other backend: KERAS_BACKEND=jax. All that it needs is there with TensorFlow, as pinned; for NVIDIA GPUs it is
# jax[cuda13].
jax: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check jax==0.10.2

# By a path, and not by a finder: before that, a user's own folder `models/` would be taken for the package.
$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=compat --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

# The pins hold for Python 3.11 to 3.13 and name no index.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--custom-compile-command "make lock" --group dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV) demo
