# SPDX-License-Identifier: Apache-2.0
# The front door. `make` alone says what there is; CMake does the work, in build/.
PREFIX ?= /usr/local
DESTDIR ?=
FILES ?= examples/isolate/images
SHEET ?= build/contact-sheet.png
PAGE ?= docs/handbook/index.html
PICTURE ?= build/porthole.png
ARGS ?=
MAKEFLAGS += --no-print-directory
SHELL := bash
# Every goal drives CMake's own parallel build.
.NOTPARALLEL:

.PHONY: help build run example test bench soak model format lint install clean

help:
	@echo 'make build                 set-up, then everything into build/ (programs and tests in build/bin)'
	@echo 'make run [PAGE=...]        open a page in Porthole, the browser: $(PICTURE)'
	@echo 'make example [FILES=...]   decode a folder of images in sandboxed processes: $(SHEET)'
	@echo 'make test                  all tests and checks, sanitizers too; ctest summary last'
	@echo 'make bench [ARGS=--quick]  measure every mechanism on this machine'
	@echo 'make soak                  the long versions of the fault tests and the fuzzers'
	@echo 'make model                 the sleep and doorbell protocol, model-checked with a death in every state'
	@echo 'make format                clang-format over the tree'
	@echo 'make lint                  clang-tidy over the tree'
	@echo 'make install PREFIX=...    headers, libraries, command (DESTDIR= for packagers)'
	@echo 'make clean                 remove what the other goals made'

build:
	@scripts/setup build
	@cmake --preset release --log-level=NOTICE
	@cmake --build build

run:
	@scripts/setup run
	@cmake --preset release --log-level=NOTICE
	@cmake --build build --target porthole
	@build/bin/porthole --headless --screenshot '$(PICTURE)' --processes=table '$(PAGE)'
	@echo 'The picture of $(PAGE) is $(PICTURE)'

example:
	@scripts/setup run
	@cmake --preset release --log-level=NOTICE
	@cmake --build build --target isolate
	@build/bin/isolate '$(FILES)' --out '$(SHEET)'

test:
	@scripts/setup test
	@scripts/test

bench:
	@scripts/setup run
	@cmake --preset release --log-level=NOTICE
	@cmake --build build --target bulkhead_command bulkhead_pool_bench
	@build/bin/bulkhead bench $(ARGS)

soak:
	@scripts/setup test
	@scripts/soak

model:
	@scripts/setup model
	@scripts/model
	@scripts/model-orders

format:
	@scripts/setup test
	@scripts/check-format --fix

lint:
	@scripts/setup lint
	@cmake --preset release --log-level=NOTICE
	@scripts/lint

install:
	@scripts/setup run
	@cmake --preset release --log-level=NOTICE
	@cmake --build build --target installable
	@DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)'

clean:
	@rm -rf build build-debug build-asan build-tsan build-fuzz
