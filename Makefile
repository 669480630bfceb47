# Two commands on a fresh machine: `make demo` and `make test`. They need python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
CKA := $(BIN)/cka
OLDEST := .oldest

.PHONY: demo test test-all test-oldest coverage lint types smoke fuzz bench clean

demo: $(VENV)/installed
	@mkdir -p $(DEMO)
	@printf '\n$$ cka inspect sample_data/A.h5\n'
	@$(CKA) inspect sample_data/A.h5 --format table
	@printf '\n$$ cka compare sample_data/A.h5 sample_data/B.h5\n'
	@$(CKA) compare sample_data/A.h5 sample_data/B.h5 --format table
	@printf '\n$$ cka compare sample_data/A.h5 sample_data/B.h5 -m cka-debiased -k rbf -f -o $(DEMO)/debiased_rbf.csv\n'
	@$(CKA) compare sample_data/A.h5 sample_data/B.h5 -m cka-debiased -k rbf -f -o $(DEMO)/debiased_rbf.csv
	@head -3 $(DEMO)/debiased_rbf.csv
	@printf '\n$$ cka compare sample_data/A.h5 sample_data/B.h5 | cka heatmap --mark-best --vmin 0.5 -f -o $(DEMO)/sim.png\n'
	@$(CKA) compare sample_data/A.h5 sample_data/B.h5 | $(CKA) heatmap --mark-best --vmin 0.5 -f -o $(DEMO)/sim.png
	@printf '\n$$ cka heatmap sample_data/A.h5 sample_data/B.h5 sample_data/untrained.h5 -f -o $(DEMO)/trained_and_not.png\n'
	@$(CKA) heatmap sample_data/A.h5 sample_data/B.h5 sample_data/untrained.h5 -f -o $(DEMO)/trained_and_not.png
	@printf '\n$$ cka match sample_data/[ABCD].h5 --layers "conv*" -m cka -m svcca-r2 -m cca-r2 -q\n'
	@$(CKA) match sample_data/[ABCD].h5 --layers 'conv*' -m cka -m svcca-r2 -m cca-r2 -q --format table | head -7
	@printf '\n$$ cka explain sample_data/A.h5::conv4 sample_data/B.h5::conv4 --components 3 -f --plot $(DEMO)/why.png\n'
	@$(CKA) explain sample_data/A.h5::conv4 sample_data/B.h5::conv4 --components 3 --format table -f --plot $(DEMO)/why.png | head -12
	@printf '\nMade in $(DEMO)/:\n' && ls $(DEMO)

test: lint types
	$(BIN)/pytest -n auto --dist worksteal

# What hypothesis draws is the same in every `make test`, and new each time here. The seed in the line of pytest repeats
# it: make test-all SEED=1234
SEED ?= $(shell $(PYTHON) -c 'import secrets; print(secrets.randbelow(2**32))')
test-all: lint types test-oldest $(VENV)/tested-all
	$(BIN)/pytest -m '' -n auto --dist worksteal --hypothesis-profile=fresh --hypothesis-seed=$(SEED)

# The tests with the least version of every required package that pyproject.toml allows; these are built for Python 3.11.
test-oldest: $(OLDEST)/tested
	$(OLDEST)/bin/pytest -n auto --dist worksteal

coverage: $(VENV)/tested
	$(BIN)/pytest --cov --cov-report=term-missing

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/tested
	$(BIN)/mypy

# The wheel as a user gets it: built, installed bare in an environment of its own, and run once.
smoke: $(VENV)/installed
	@rm -rf .smoke && mkdir .smoke
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir .smoke .
	$(PYTHON) -m venv .smoke/venv
	.smoke/venv/bin/pip install --quiet .smoke/cka_cli-*.whl
	cd .smoke && venv/bin/cka compare ../sample_data/A.h5 ../sample_data/B.h5 --layers gap --layers logits
	cd .smoke && venv/bin/cka compare ../sample_data/A.h5 | venv/bin/cka heatmap -o self.png && ls -l self.png

# Ratios of whole processes on data made for it (about 7 GB in the temporary folder); an hour on two cores.
bench: $(VENV)/tested
	$(BIN)/python tests/benchmarks/run.py

# Mutated files through the commands, others each time; about three minutes on two cores. A failure is repeated from the
# seed that is printed first, and its number: make fuzz FUZZ='--seed 1 --only 1234'
FUZZ ?= --count 2000
fuzz: $(VENV)/tested
	$(BIN)/python -m tests.fuzz $(FUZZ)

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'cka needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Python compiles what is imported; to compile all that is installed takes as long again.
$(VENV)/installed: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --no-compile --editable .
	@touch $@

$(VENV)/tested: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --no-compile --editable '.[test]'
	@touch $(VENV)/installed $@

$(VENV)/tested-all: $(VENV)/tested
	$(BIN)/pip install --quiet --no-compile --editable '.[test-all]'
	@touch $@

LEAST := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")
$(OLDEST)/tested: pyproject.toml
	@rm -rf $(OLDEST)
	$(or $(shell python3.11 -c 'import sys; print(sys.executable)' 2>/dev/null),$(PYTHON)) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo 'test-oldest needs Python 3.11, for which the oldest packages are built' >&2; exit 1; }
	$(OLDEST)/bin/python -c '$(LEAST)' | sed 's/>=/==/' >$(OLDEST)/least.txt
	$(OLDEST)/bin/pip install --quiet --no-compile --constraint $(OLDEST)/least.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) $(DEMO) .smoke .bench .fuzz dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +
