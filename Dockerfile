# Builds linux/amd64 and linux/arm64; docs/container.md explains the arguments.
#
#   base     the interpreter
#   models   exports the models of MODELS, on the building machine's own architecture
#   runtime  installs the service and trims it to what runs
#   (last)   the trimmed files and the models

ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}
ARG RUNTIME_BASE=scratch

# DL3029: model files are the same for every architecture, so they are exported on the architecture of
# the building machine and not under emulation.
# hadolint ignore=DL3029
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS models
SHELL ["/bin/sh", "-eu", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore ORT_DISABLE_TELEMETRY=1
WORKDIR /src
RUN python3 -m venv /opt/build
COPY requirements/build.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip install --quiet --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY mobilenet_gateway mobilenet_gateway
COPY models models
ARG SOURCE_DATE_EPOCH=315532800
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/build/bin/pip install --quiet --no-deps --no-index /wheel/*.whl
# Names of the zoo, or --all. Weights in models/weights are used instead of a download.
ARG MODELS="mobilenet_v2_1.0_224 mobilenet_v2_1.0_224_ptq"
# SC2086: MODELS is a list, which the shell must split.
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=cache,target=/root/.cache/weights \
    --mount=type=bind,source=models,target=/context \
    if [ -d /context/weights ]; then set -- --weights /context/weights; fi; \
    /opt/build/bin/mobilenet-gateway models pull \
        --store /image/models --cache /root/.cache/weights "$@" ${MODELS}; \
    find /image -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE_IMAGE} AS runtime
SHELL ["/bin/sh", "-eu", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
WORKDIR /src
# pip has its own environment and never enters the shipped one.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/gateway
COPY requirements/runtime.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip --python /opt/gateway/bin/python install --quiet \
        --require-hashes --no-deps -r requirements/runtime.txt
# onnxruntime, onnxruntime-gpu or onnxruntime-openvino; a wheel in container/wheels takes precedence.
ARG ONNXRUNTIME=onnxruntime
COPY requirements/onnxruntime*.txt requirements/
# DL3042: pip's cache is a mount, not part of a layer.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=container/wheels,target=/wheels \
    set -- /wheels/*.whl; \
    if [ ! -e "$1" ]; then set -- --require-hashes -r "requirements/${ONNXRUNTIME}.txt"; fi; \
    /opt/build/bin/pip --python /opt/gateway/bin/python install --quiet --no-deps "$@"
# true adds grpcio, which the setting grpc_port needs.
ARG GRPC=false
# true adds the decoder for HEIC, whose libraries are LGPL; HEVC is patented.
ARG HEIF=false
# true adds PyAV with FFmpeg (LGPL), which cameras by RTSP, other streams and V4L2 need.
ARG AV=false
# true adds aiomqtt, which the table [mqtt] needs.
ARG MQTT=false
COPY requirements/grpc.txt requirements/heif.txt requirements/av.txt requirements/mqtt.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    for part in "grpc=${GRPC}" "heif=${HEIF}" "av=${AV}" "mqtt=${MQTT}"; do \
        if [ "${part#*=}" = true ]; then \
            /opt/build/bin/pip --python /opt/gateway/bin/python install --quiet \
                --require-hashes --no-deps -r "requirements/${part%=*}.txt"; \
        fi; \
    done
COPY container/trim.py container/healthcheck.py container/
ARG RUNTIME_BASE
ARG SOURCE_DATE_EPOCH=315532800
RUN --mount=type=bind,from=models,source=/wheel,target=/wheel \
    /opt/build/bin/pip --python /opt/gateway/bin/python install --quiet --no-deps --no-index \
        /wheel/*.whl; \
    cp container/healthcheck.py /opt/gateway/; \
    PYTHONNODEBUGRANGES=1 python3 container/trim.py /opt/gateway /root/image "${RUNTIME_BASE}"

FROM ${RUNTIME_BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mobilenet-gateway" \
      org.opencontainers.image.description="Serves MobileNetV1 and MobileNetV2 image classification on an edge gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=runtime /root/image/ /
COPY --from=models --chown=10001:10001 /image/ /
ENV PATH=/opt/gateway/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    OPENBLAS_NUM_THREADS=1 \
    MALLOC_ARENA_MAX=1 \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_STORE=/models \
    GATEWAY_CACHE=false
USER 10001:10001
WORKDIR /models
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/gateway/healthcheck.py"]
ENTRYPOINT ["mobilenet-gateway"]
CMD ["serve"]
