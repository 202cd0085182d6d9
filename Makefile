# Two commands do everything on a fresh machine: `make demo` and `make test`. See README.md.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs pictures reproduction clean

demo: .venv/demo.done
	$(BIN)/python examples/demo.py

test: .venv/test.done
	tools/with-display $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/prose.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation
	$(BIN)/python -m zipfile --extract dist/*.whl build/wheel
	$(BIN)/npe2 validate build/wheel/napari_convgen/napari.yaml

docs: .venv/docs.done
	$(BIN)/mkdocs build --strict
	$(BIN)/python tools/check_site.py site

pictures: .venv/test.done .venv/demo.done
	$(BIN)/python examples/demo.py --picture docs/pictures/demo.png
	tools/with-display $(BIN)/python docs/pictures/screenshots.py
	tools/with-display $(BIN)/python docs/pictures/film.py
	tools/with-display $(BIN)/python docs/pictures/sheet.py

reproduction: .venv/demo.done
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[bm3d]"
	mkdir -p build
	$(BIN)/napari-convgen reproduce --all --quick --out build/reproduction
	cp build/reproduction/README.md build/reproduction/*.png docs/reproduction/

clean:
	rm -rf .venv build dist site demo-output

.venv/bin/python:
	tools/make-venv $(PYTHON)

.venv/demo.done: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --constraint constraints.txt --editable .
	touch $@

.venv/test.done: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[all,test]"
	touch $@

.venv/docs.done: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[docs]"
	touch $@
