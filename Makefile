# `make demo` and `make test` are all a newcomer needs: Python 3.11 or 3.12 with venv, git and make.
# Both install into .venv the first time and work offline from then on.

# The first of these that is Python 3.11 or 3.12.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do $$p -c "import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))" 2>/dev/null && echo $$p && exit; done; echo python3)
BIN    := .venv/bin
# One process a core is fastest for the tests; each then uses one thread.
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test test-federation faults fuzz fuzz-guided install lint pictures docs site wheel clean

demo: install
	@$(BIN)/python -m harness.preflight
	@$(BIN)/fedcross demo --out build/demo --scene-script Testing/harness/demo_scene.py

test: install lint
	@$(BIN)/python -m harness.preflight
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q

# A server and hospitals as processes of their own, over TLS, some of which are killed; some minutes.
test-federation: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m federation Testing/fedcross

# Fails every write of the commands once, and looks at what is left; half an hour. Needs cc.
faults: install
	@$(BIN)/python Testing/faults/faults.py

# Reads 100,000 changed bundles, volumes, lines, configurations and lists; about half an hour. A second
# start goes on where the first one was interrupted. FUZZ is for options, such as `--inputs 2000`.
fuzz: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(FUZZ)

# The same inputs, but atheris steers them into new paths of the code; five minutes a kind. It installs where
# atheris has a wheel.
fuzz-guided: install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	@OMP_NUM_THREADS=1 $(BIN)/python -m fuzz.guided $(FUZZ)

# The README's pictures: the demo's scene, and the module's panel after segmenting the demo's patient.
pictures: demo
	@mkdir -p Resources/Screenshots
	@cp build/demo/scene/*.png Resources/Screenshots/
	@$(BIN)/python Resources/draw_data_check.py
	@rm -rf build/more-patients
	@$(BIN)/fedcross data phantom build/more-patients --sites 3 --cases 14 --seed 77 --shift 0.3
	@$(BIN)/fedcross calibrate build/demo/bundle --data build/more-patients/phantom.toml --part train,validation,test --out build/demo/calibrated
	@$(BIN)/python Testing/harness/panel_pictures.py --image build/demo/heldout/image.nii.gz --bundle build/demo/bundle --calibrated build/demo/calibrated --out Resources/Screenshots

# What the documentation takes from the code: the picture of the layers, tables of keys, pages of commands, licences.
docs: install
	@$(BIN)/python docs/draw_layers.py
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/list_licences.py

# The site of the documentation, into build/site. Runs the notebooks; a dead link is an error.
site: install
	@$(BIN)/python docs/build_site.py

# The wheel and the source archive of the package, into dist/.
wheel: install
	@cd training && ../$(BIN)/python -m hatchling build --directory ../dist

lint: install
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

install: .venv/.installed

.venv/.installed: training/pyproject.toml training/constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v[:2] in ((3, 11), (3, 12)) or sys.exit("FedCross needs Python 3.11 or 3.12 and found %d.%d as $(PYTHON): make PYTHON=/path/to/python3.12." % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: sudo apt-get install python3-venv"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c training/constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c training/constraints.txt -e 'training[dev]'
	@touch $@

export PYTHONPATH := Testing

clean:
	rm -rf build .venv
