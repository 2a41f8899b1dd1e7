# Every target sets the environment up by itself; `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# What `make sim` runs: a built-in network (`skimp models`) or a .tflite file, on a preset.
MODEL  ?= efficientnet_lite0
CONFIG ?= small
OUT    ?= build/verilog
JOBS   ?= 2

export PYTHONHASHSEED := 0

.DEFAULT_GOAL := help
.PHONY: help sim test test-long lint format verilog bench bench-depthwise bench-rlc bench-traffic bench-energy bench-toggles report-picture reproduce pnr synth clean tools

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

sim: $(STAMP) ## simulate a network and check it [MODEL= INPUT= CONFIG= WAVES=FILE.vcd]
	$(BIN)/skimp run $(MODEL) --config $(CONFIG) --check \
	    $(if $(INPUT),--input $(INPUT)) $(if $(WAVES),--waves $(WAVES))

test: $(STAMP) ## all tests but the long ones
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadgroup --no-loadscope-reorder

test-long: $(STAMP) ## the tests that take minutes each
	$(BIN)/python -m pytest -m long -n $(JOBS) --dist loadgroup --no-loadscope-reorder

lint: $(STAMP) ## ruff, check and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

verilog: $(STAMP) ## Verilog and its side-car JSON, of a board's top level too [BOARD= CONFIG= OUT=]
	$(BIN)/skimp verilog $(if $(BOARD),--board $(BOARD)) $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) -o $(OUT)

bench: $(STAMP) ## cycles and utilisation of every network, kept in docs/results [CONFIG= MODEL=]
	$(BIN)/python bench/run.py $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) $(if $(filter command,$(firstword $(origin MODEL))),$(MODEL))

bench-depthwise: $(STAMP) ## depthwise layers beside the array, after it, on it, kept in docs/results [CONFIG= MODEL=]
	$(BIN)/python bench/depthwise.py $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) $(if $(filter command,$(firstword $(origin MODEL))),$(MODEL))

bench-rlc: $(STAMP) ## DRAM bytes that codes for zeros save, kept in docs/results
	$(BIN)/python bench/rlc.py

bench-traffic: $(STAMP) ## DRAM bytes beside the least, open rows, kept in docs/results [CONFIG= MODEL=]
	$(BIN)/python bench/traffic.py $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) $(if $(filter command,$(firstword $(origin MODEL))),$(MODEL))

bench-energy: $(STAMP) ## where the energy goes, rooflines, kept in docs/results [CONFIG= MODEL=]
	$(BIN)/python bench/energy.py $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) $(if $(filter command,$(firstword $(origin MODEL))),$(MODEL))

report-picture: $(STAMP) ## a report as a browser shows it, kept as docs/results/report.png
	$(BIN)/python bench/report_picture.py

bench-toggles: $(STAMP) ## bits that change in the RTL, gating on and off, kept in docs/results [CONFIG= MODEL=]
	$(BIN)/python bench/toggles.py $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG)) $(if $(filter command,$(firstword $(origin MODEL))),$(MODEL))

reproduce: $(STAMP) ## published results computed again, kept in docs/results and docs/reproductions.md [NAME=]
	$(BIN)/python bench/reproduce.py $(NAME)

synth: $(STAMP) ## area of a board's accelerator by Yosys, block by block, kept in docs/results [BOARD= CONFIG=]
	$(BIN)/python bench/synth.py $(if $(BOARD),--board $(BOARD)) $(if $(filter command,$(firstword $(origin CONFIG))),--config $(CONFIG))

pnr: $(STAMP) ## a board through place and route by open tools, kept in docs/results [BOARD=]
	$(BIN)/python bench/pnr.py $(if $(BOARD),--board $(BOARD))

clean: ## remove everything that is built (the environment stays)
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find hw sim boards compiler tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,models,synth]"
	@touch $@

# Says in one line what is missing, before anything fails half way.
tools:
	@command -v $(PYTHON) >/dev/null \
	    || { echo "$(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=...)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || { echo "venv is missing: install it, e.g. apt-get install python3-venv" >&2; exit 2; }
	@for tool in g++ make perl; do command -v $$tool >/dev/null \
	    || { echo "$$tool is missing: install it, e.g. apt-get install $$tool" >&2; exit 2; }; done
