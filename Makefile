# make run · make test · make check. Each sets up what it needs first; nothing is done twice.
PORT ?= 8501
export PORT PYTHON

.PHONY: run setup setup-dev test check

run:
	@scripts/run

setup:
	@scripts/setup

setup-dev:
	@scripts/setup dev

test: setup-dev
	@scripts/test

check: setup-dev
	@scripts/check
