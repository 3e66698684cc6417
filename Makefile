# `make serve` and `make test` set up everything they need.

PYTHON ?= python3
URL ?= http://127.0.0.1:8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Where it is set, each of the hundreds of processes that tests start compiles the project again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve test request-path check-debian13 clients test-clients proto check docs format bench bench-quick bench-lone bench-peers bench-auto bench-client bench-arm check-ray plot flood check-attacks check-cameras check-replicas check-slow-page fuzz check-mutations locust locust-check page-shots image image-arm64 image-test image-sizes sbom lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve models/store/mobilenet_v2_1.0_224.onnx models/store/mobilenet_v2_1.0_224_ptq.onnx  ## set up, fetch both forms of the default model and serve them on port 8000
	$(BIN)/mobilenet-gateway serve

test: $(VENV)/.dev models/store/mobilenet_v2_1.0_224.onnx models/store/mobilenet_v2_1.0_224_ptq.onnx  ## set up and run all tests
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --maxprocesses 4 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

clients: .venv-clients/.ready  ## set up the clients of Triton and KServe, which `make test` then uses too

test-clients: $(VENV)/.dev clients  ## test the Open Inference Protocol with the clients of Triton and KServe, 1 minute
	$(BIN)/python -m pytest -q tests/oip_clients

proto: $(VENV)/.dev  ## regenerate the messages of app/oip/inference.proto
	$(BIN)/uv run --quiet --no-project --with grpcio-tools==1.75.1 python -m grpc_tools.protoc -I . --python_out . --pyi_out . app/oip/inference.proto

check: $(VENV)/.dev  ## check format, lint, types, generated tables and known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs.fill --check
	$(BIN)/python -m container.audit -r requirements/runtime.txt -r requirements/grpc.txt -r requirements/mqtt.txt -r requirements/av.txt -r requirements/onnxruntime.txt -r requirements/build.txt

check-debian13:  ## `make test` on Debian 13 with Python 3.13, in a root of its own; needs root and mmdebstrap
	container/debian13.sh test

request-path: $(VENV)/.dev models/store/mobilenet_v2_1.0_224.onnx  ## trace one POST /predict through the files of app/
	$(BIN)/python -m tests.request_path

docs: $(VENV)/.dev  ## regenerate the tables of docs
	$(BIN)/python -m docs.fill

format: $(VENV)/.dev  ## format and fix the code with ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## compare the service with a bare loop: tables for docs/performance.md, 12 minutes
	$(BIN)/python -m loadtest.bench.run

bench-quick: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## what has a target, in 3 minutes, without writing tables
	$(BIN)/python -m loadtest.bench.run --quick

bench-lone: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## compare a lone image on one core, on all, and by plain FastAPI, 6 minutes
	$(BIN)/python -m loadtest.bench.lone_image

bench-peers: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## compare the service with seven other model servers, 15 minutes
	$(BIN)/python -m loadtest.peers.run

bench-auto: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## measure automatic choice under a budget, brown-out, latency prediction, 5 minutes
	$(BIN)/python -m loadtest.auto.run

bench-client: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## compare `classify` on 1000 files with wrk, through two services with one, and `--local` with the bare loop, 8 minutes
	$(BIN)/python -m loadtest.client.run
	$(BIN)/python -m loadtest.client.two_services
	$(BIN)/python -m loadtest.client.local

bench-arm: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## count the instructions of an image on three ARM CPUs under qemu, and compare with the recorded ones
	$(BIN)/python -m loadtest.arm.run

check-ray: .venv-ray/.ready models/store/mobilenet_v2_1.0_224.onnx  ## classify on a Ray cluster whose nodes and drivers are killed, against the bare loop, 30 minutes
	.venv-ray/bin/python -m loadtest.batch.check_ray

plot: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## time every model of the store and draw docs/choosing.svg
	$(BIN)/python -m loadtest.auto.plot

flood: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## send three times the capacity for a minute
	$(BIN)/python -m loadtest.robustness.flood

check-replicas: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## start a second replica behind HAProxy under load, 2 minutes
	$(BIN)/python -m loadtest.robustness.replicas --balance random
	$(BIN)/python -m loadtest.robustness.replicas --balance leastconn

check-attacks: $(VENV)/.bench models/store/mobilenet_v2_1.0_224.onnx  ## measure what other clients notice under 17 attacks, 5 minutes
	$(BIN)/python -m loadtest.robustness.attacks

check-cameras: $(VENV)/.dev models/store/mobilenet_v2_1.0_224.onnx  ## let cameras and a broker misbehave, measure the change gate, the time to an event and what requests notice, 26 minutes; tries GStreamer's RTSP server, Mosquitto and HOME_ASSISTANT=PYTHON if they are installed
	$(BIN)/python -m loadtest.cameras.gate
	$(BIN)/python -m pytest -q tests/app/cameras/mqtt
	$(BIN)/python -m loadtest.cameras.discovery
	$(BIN)/python -m loadtest.cameras.hostile
	$(BIN)/python -m loadtest.cameras.latency

fuzz: $(VENV)/.dev models/store/mobilenet_v2_1.0_224.onnx  ## send 30,000 malformed requests and decode 1,000 hostile images, 6 minutes
	$(BIN)/python -m loadtest.robustness.fuzz
	$(BIN)/python -m loadtest.robustness.decode_bounds --images 1000

check-mutations: $(VENV)/.dev  ## import 660 mutated TFLite and ONNX graphs and compare what is adopted with their own runtimes, 4 minutes
	$(BIN)/python -m tests.models.importing.mutations.run

locust: $(VENV)/.load  ## open Locust for load tests of a running service (URL=...), at http://127.0.0.1:8089
	$(BIN)/python -m locust --locustfile loadtest/users/locustfile.py --host $(URL) --users 10 --web-host 127.0.0.1

locust-check: $(VENV)/.load models/store/mobilenet_v2_1.0_224.onnx  ## simulate cameras, phones and a dashboard for half a minute, with a pass condition
	$(BIN)/python -m loadtest.users.locust_check

check-slow-page: $(VENV)/.dev  ## the tests of the page with a browser six times slower, whose requests take 300 ms, 15 minutes
	PAGE_SLOWER=6 $(VENV)/bin/python -m pytest -q tests/page

page-shots: $(VENV)/.dev models/store/mobilenet_v2_1.0_224.onnx  ## screenshots of the web page in tests/page/shots, and its first paint; needs Chromium
	$(BIN)/python -m pytest tests/page
	$(BIN)/python -m tests.page.paint

image:  ## build the container image for x86-64, 20 seconds
	container/build.sh amd64

image-arm64:  ## build the container image for ARM64 under emulation, 3 minutes
	container/build.sh arm64

image-test: $(VENV)/.dev image image-arm64  ## build both images, run the end-to-end tests against them, report sizes
	container/test.sh $(BIN)/python

image-sizes: $(VENV)/.dev image image-arm64  ## record the sizes of both images, from which they may grow by 3 %
	eval "$$(container/engine.sh env)" && $(BIN)/python -m container.report mobilenet-gateway:amd64 --record
	eval "$$(container/engine.sh env)" && $(BIN)/python -m container.report mobilenet-gateway:arm64 --record

sbom: $(VENV)/.dev image  ## list the packages of the image (CycloneDX) and audit them
	container/sbom.sh $(BIN)/python

lock: $(VENV)/.dev  ## pin the requirements of the image again; UPGRADE=1 upgrades them
	PATH="$(CURDIR)/$(BIN):$$PATH" container/lock.sh

clean:  ## remove environments, caches, builds, screenshots and results of measurements; models and weights stay
	rm -rf $(VENV) .venv-clients .venv-ray loadtest/.venvs loadtest/results build tests/page/shots .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

models/store/mobilenet_v2_1.0_224.onnx models/store/mobilenet_v2_1.0_224_ptq.onnx: | $(VENV)/.serve
	$(BIN)/mobilenet-gateway models pull $(basename $(notdir $@))

# The marker is written last: without Debian's python3-venv, or after Ctrl-C, the environment has an
# interpreter but no pip.
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.serve: pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable '.[build]'
	touch $@

$(VENV)/.dev: pyproject.toml client/pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable ./client --editable '.[dev]'
	touch $@ $(VENV)/.serve $(VENV)/.load $(VENV)/.bench

.venv-clients/.ready: tests/oip_clients/requirements.txt | $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-clients
	$(BIN)/uv pip install --quiet --python .venv-clients/bin/python -r tests/oip_clients/requirements.txt
	touch $@

.venv-ray/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip --disable-pip-version-check install --quiet --editable '.[bench,ray]'
	touch $@

$(VENV)/.load: pyproject.toml client/pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable ./client --editable '.[load]'
	touch $@ $(VENV)/.serve $(VENV)/.bench

$(VENV)/.bench: pyproject.toml client/pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable ./client --editable '.[bench]'
	touch $@ $(VENV)/.serve
