# What a person does with a checkout. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo,)

# To run it, and to test it against what else there is. Names of Debian's packages.
RUN_PACKAGES := libseccomp2 util-linux
TEST_PACKAGES := \
	systemd dbus dbus-user-session libpam-systemd kmod iproute2 iptables e2fsprogs procps \
	user-mode-linux busybox-static jq strace tmux \
	containerd runc crun docker.io podman conmon catatonit uidmap slirp4netns bubblewrap flatpak lxc systemd-container \
	chromium rootlesskit fuse-overlayfs erofs-utils squashfs-tools btrfs-progs passt \
	buildah runsc xfsprogs

# For the lane of machines under emulation.
QEMU_PACKAGES := qemu-system-x86 busybox-static kmod cpio xz-utils e2fsprogs systemd

# The quickest first, and in order: a mistake in a parser shows before a machine is started.
TESTS := \
	tests/architecture tests/suites tests/collectors tests/inspector tests/runtime tests/screens \
	tests/packaging tests/live tests/end_to_end tests/engines tests/machines
PYTEST := $(BIN)/python -m pytest $(PYTEST_OPTIONS)

.DEFAULT_GOAL := help
.PHONY: help demo demo-headless test test-qemu check format setup packages wheel bench clean

help: ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(VENV)/run ## Start a demo container and open the dashboard on it.
	@$(AS_ROOT) $(BIN)/cinspect ui --demo

demo-headless: $(VENV)/run ## The same without a terminal: print the demo container as JSON.
	@$(AS_ROOT) scripts/demo-headless.sh $(BIN)/cinspect

test: $(VENV)/dev packages ## Install what the tests need, and run every one of them.
	@$(PYTEST) $(wildcard $(TESTS))

test-qemu: $(VENV)/dev ## Run the tests that need a kernel with every controller, under QEMU.
	@scripts/packages.sh $(QEMU_PACKAGES)
	@$(AS_ROOT) $(PYTEST) tests/machines/test_qemu.py tests/machines/test_qemu_labels.py

check: $(VENV)/dev ## Lint, format, types, and who may import whom.
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: $(VENV)/dev ## Format, and mend what can be mended by itself.
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

setup: $(VENV)/dev packages ## Install all that is needed to work on it.

packages: ## Install the packages that the tests need (Debian, as root).
	@scripts/packages.sh $(RUN_PACKAGES) $(TEST_PACKAGES) $(QEMU_PACKAGES)

wheel: $(VENV)/dev ## Build dist/*.whl.
	@$(BIN)/python -m pip wheel -qq --no-deps --wheel-dir dist .
	@ls dist/*.whl

bench: $(VENV)/dev packages ## Measure it against its peers, side by side.
	@for name in namespaces inspection observe lifecycle start; do \
		echo "== $$name"; $(AS_ROOT) $(BIN)/python benchmarks/$$name.py || exit 1; \
	done

clean: ## Remove all that was made here.
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says that the environment has what pyproject.toml asked for when it was made.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || scripts/packages.sh python3-venv
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: pyproject.toml | $(VENV)/bin/python
	@scripts/packages.sh $(RUN_PACKAGES)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@
