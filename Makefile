# SPDX-License-Identifier: MIT
# The commands of the README. Each installs what it needs first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.PHONY: help setup build demo shell test bench check unit check-layer board-test board-test-packages lab-test lava-server clean

export PYTHONPATH := $(CURDIR)/pylib/hetoci_lab/src:$(CURDIR)/pylib/hetoci/src
export PYTHONDONTWRITEBYTECODE := 1

# Expanded in every recipe that needs it: prints what it installs, then the Python to use.
PYTHON = $$(pylib/hetoci_lab/setup-host.sh)

help:  ## List these commands.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup:  ## Install the packages that the other commands need.
	@python=$(PYTHON)
	echo "Ready: $$python"

build: ## Build the virtual board into build/vboard.
	@python=$(PYTHON)
	"$$python" -m hetoci_lab.cli build

demo:  ## Build the board and run firmware on its Cortex-R5 as a container.
	@python=$(PYTHON)
	"$$python" -m hetoci_lab.cli demo

shell: ## A board of your own: console here, ssh beside (VARIANT=xen or linux).
	@python=$(PYTHON)
	"$$python" -m hetoci_lab.cli shell --variant "$(or $(VARIANT),xen)"

test: check unit board-test lab-test  ## Everything: lints, unit tests, the tests on the board.

check: ## Lints and types.
	@python=$(PYTHON)
	"$$python" -m ruff check .
	"$$python" -m ruff format --check .
	"$$python" -m mypy pylib/hetoci/src pylib/hetoci_lab/src recipes/common/labels.py
	"$$python" -m mypy --explicit-package-bases labtests/conftest.py
	git ls-files '*.sh' .ci/run '**/vboard/init' '**/bin/hetoci-lab' | xargs shellcheck

unit:  ## Tests that need no board.
	@python=$(PYTHON)
	"$$python" -m pytest -q -n auto --dist loadfile --hypothesis-profile=ci \
		$${HETOCI_WITH_LAVA:+--no-skips} pylib recipes

check-layer: ## Lint and parse the Yocto layer, resolve the kas files, try kernel options and trees.
	@python=$(PYTHON)
	"$$python" -m hetoci_lab.layer_check
	"$$python" -m hetoci_lab.layer_kernel
	"$$python" -m pytest -q pylib/hetoci_lab/tests/test_layer_*.py

board-test:  ## Tests on the virtual board, Linux alone and under Xen, on two boards at once.
	@python=$(PYTHON)
	mkdir -p build/report
	"$$python" -m hetoci_lab.cli build
	run() {
		exec "$$python" -m pytest labtests --lg-env "labtests/env/$$1.yaml" \
			--lg-log "build/log/$$2" --junitxml "build/report/$$2.xml" "$${@:3}"
	}
	log=build/report/vboard-xen-1.log
	(run vboard-xen vboard-xen-1 --board 1) > $$log 2>&1 & other=$$!
	trap 'kill $$other 2>/dev/null || true; wait' EXIT
	status=0
	(run vboard vboard --only-must-run) || status=$$?
	(run vboard-xen vboard-xen-2 --board 2) || status=$$?
	echo "board-test: waiting for the other board, whose tests are in $$log"
	wait $$other || status=$$?
	cat $$log
	exit $$status

lab-test: ## The smoke scenarios at a place of a virtual bench, and in a LAVA job; a lost board.
	@python=$(PYTHON)
	mkdir -p build/report
	"$$python" -m hetoci_lab.cli build
	# Two boards at once: each keeps little more than one core busy.
	"$$python" -m hetoci_lab.cli run smoke --bench > build/report/place.log 2>&1 & place=$$!
	trap 'kill $$place 2>/dev/null || true; wait' EXIT
	lava=0
	without=
	if [ -n "$${HETOCI_WITHOUT_LAVA:-}" ]; then
		without="HETOCI_WITHOUT_LAVA is set"
	elif [ -n "$${HETOCI_WITH_LAVA:-}" ]; then
		:  # whatever is missing is an error
	elif [ "$$(id -u)" != 0 ]; then
		without="lava-run needs root"
	elif ! apt-cache show lava-dispatcher > /dev/null 2>&1; then
		without="this host's archive has no lava-dispatcher, Debian 12's has"
	fi
	if [ -z "$$without" ]; then
		"$$python" -m hetoci_lab.cli lava run vboard --scenario smoke || lava=$$?
	fi
	status=0
	wait $$place || status=$$?
	cat build/report/place.log
	[ $$status = 0 ] || exit $$status
	[ $$lava = 0 ] || exit $$lava
	"$$python" -m pytest -q labtests/lost_board.py
	"$$python" -m hetoci_lab.cli report build/runs --out build/report/runs.html
	[ -z "$$without" ] || echo "lab-test: left out, the LAVA job: $$without" >&2

lava-server: ## The same LAVA job by way of a real LAVA server on loopback; once a release, as root.
	@python=$(PYTHON)
	"$$python" -m hetoci_lab.cli lava server --scenario smoke

bench: ## What hetoci costs: ratios to the delegate, to the bare kernel and to a bare domain.
	@python=$(PYTHON)
	mkdir -p build/report
	"$$python" -m hetoci_lab.cli bench runtime startup --variant linux --json build/report/bench.json
	"$$python" -m hetoci_lab.cli bench domains --variant xen --json build/report/bench-domains.json

board-test-packages: ## The same with the packages that bitbake made (PACKAGES=its deploy folder).
	@python=$(PYTHON)
	export HETOCI_PACKAGES="$(or $(PACKAGES),$(error PACKAGES=DIR is missing: the deploy folder of bitbake))"
	"$$python" -m hetoci_lab.cli build
	for env in $(or $(ENVS),vboard vboard-xen); do
		"$$python" -m pytest labtests --lg-env "labtests/env/$$env.yaml" --lg-log build/log \
			--junitxml "build/report/packages-$$env.xml"
	done

clean: ## Remove build/; the cache outside the tree stays.
	rm -rf build
