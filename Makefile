# One command for each thing a person does here. Everything happens in .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/
SHELL := bash
.SHELLFLAGS := -o pipefail -c

# Hundreds of tests start the program: without bytecode, each compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: notebook python-options demo demo-llm test quick check format lint types architecture house verdict gallery bench guard check-long live protos clean

demo: $(VENV)/demo
	$(RUN)tracebench demo

demo-llm: $(VENV)/demo
	$(RUN)tracebench demo --llm

# Most tests wait for sockets: three files at a time keep two cores busy. Those that hold times to a bound run alone.
# A pause of the machine may spoil a measured time: such a test is tried once more, and listed as RERUN.
test: $(VENV)/dev
	$(RUN)python -m pytest -n 3 --dist loadfile --reruns 1 -m "not live and not alone"
	$(RUN)python -m pytest --reruns 1 -m "alone and not live" $$(grep -rlw mark.alone tests)

quick: $(VENV)/dev
	$(RUN)python -m pytest -m "not slow and not live"

check: lint types test

lint: $(VENV)/dev
	$(RUN)ruff format --check .
	$(RUN)ruff check .

format: $(VENV)/dev
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

types: $(VENV)/dev
	$(RUN)mypy

architecture: $(VENV)/dev
	$(RUN)python -m pytest tests/test_architecture.py

house: $(VENV)/dev
	$(RUN)python -m tools.house

verdict: $(VENV)/dev
	$(RUN)python -m tools.verdict_table

# From the results in docs/gallery; `python -m tools.gallery measure` measures them again.
gallery: $(VENV)/dev
	$(RUN)python -m tools.gallery
python-options: $(VENV)/dev
	$(RUN)python -m tools.python_options

# ipykernel and nbclient come with the extra `live`.
notebook: $(VENV)/live
	$(RUN)python -m tools.notebook

bench: $(VENV)/dev
	$(RUN)python -m benchmarks

guard: $(VENV)/dev
	$(RUN)python -m benchmarks.guard

check-long: $(VENV)/dev
	$(RUN)python -m benchmarks.long | tee docs/check-long.txt

# Web frameworks and model servers as people install them. Headers would show this machine's paths.
live: $(VENV)/live
	$(RUN)python -m tests.live.environments
	$(RUN)python -m pytest --no-header --verbose -m live | tee docs/live.txt

# The oldest protobuf that is supported generates: newer runtimes read older code, not the reverse.
protos:
	$(PYTHON) -m venv $(VENV)-protos
	$(VENV)-protos/bin/pip install --quiet grpcio-tools==1.66.2 'setuptools<80'
	$(VENV)-protos/bin/python -m grpc_tools.protoc -I. --python_out=tracebench --pyi_out=tracebench --grpc_python_out=tracebench protos/inference.proto protos/completions.proto
	$(VENV)-protos/bin/python -m grpc_tools.protoc -I. --python_out=tracebench --pyi_out=tracebench protos/open_inference.proto protos/reflection.proto
	sed -i 's/^from protos import/from tracebench.protos import/' tracebench/protos/{inference,completions}_pb2_grpc.py
	rm -r $(VENV)-protos

clean:
	rm -rf $(VENV) {.,server_middleware}/{build,dist,*.egg-info} tracebench-demo

# Of pip's 200 lines, those of what takes long are shown: packages from 1 MB on, and the installation.
$(VENV)/demo: pyproject.toml
	@echo "Installing tracebench and its example servers into $(VENV)/ (1-2 minutes, once):"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)pip install --quiet --upgrade pip
	@$(RUN)pip install --progress-bar off --editable '.[example]' | sed -un -e \
	  's/^ *\(Downloading\|Using cached\) \([^-]*\)-[^(]*\(([0-9.]* MB)\)/  \1 \2 \3/p' -e \
	  's/^Installing collected packages:.*/  Installing all of them/p'
	@touch $@

$(VENV)/dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --upgrade pip
	$(RUN)pip install --quiet --editable '.[dev]'
	touch $(VENV)/demo $@

$(VENV)/live: $(VENV)/dev
	$(RUN)pip install --quiet --editable '.[dev,live]'
	touch $@
