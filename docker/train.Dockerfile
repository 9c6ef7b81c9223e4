# Training, on the processor or on GPUs. Build it from the repository's root:
#   docker build --file docker/train.Dockerfile --tag tinybench-train .
#   docker build --file docker/train.Dockerfile --tag tinybench-train:gpu --build-arg DEVICE=gpu .
ARG BASE=docker.io/library/python:3.11.15-slim-bookworm@sha256:b18992999dbe963a45a8a4da40ac2b1975be1a776d939d098c647482bcad5cba

# hadolint ignore=DL3006
FROM ${BASE} AS build
# cpu, or gpu for CUDA's libraries as well; the driver is the host's
ARG DEVICE=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/tinybench
WORKDIR /src
COPY LICENSE README.md pyproject.toml requirements.lock docker/gpu.lock ./
# The dependencies, of the versions in the lock files, are a layer of their own that a change of the source leaves valid.
# The secret is a configuration of pip, for those who install from another index.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    case "$DEVICE" in \
        cpu) extras=postgres ;; \
        gpu) extras=postgres,gpu ;; \
        *) echo "Invalid value for DEVICE: expected cpu or gpu, got '$DEVICE'." >&2; exit 2 ;; \
    esac && \
    mkdir tinybench && touch tinybench/__init__.py && \
    /opt/tinybench/bin/pip install --constraint requirements.lock --constraint gpu.lock ".[$extras]"
COPY tinybench tinybench
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/tinybench/bin/pip install --no-deps --force-reinstall . && \
    /opt/tinybench/bin/pip check

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="tinybench training" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 tinybench && \
    useradd --uid 10001 --gid tinybench --create-home --shell /usr/sbin/nologin tinybench && \
    install --directory --owner=tinybench --group=tinybench /data /project
COPY --from=build /opt/tinybench /opt/tinybench
# The MLflow project: `mlflow run . --env-manager local` uses the environment of the image
COPY --chown=10001:10001 MLproject conda.yaml /project/
COPY --chown=10001:10001 sweeps /project/sweeps
ENV PATH=/opt/tinybench/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet \
    MLFLOW_DISABLE_TELEMETRY=true \
    TINYBENCH_DATA=/data
USER 10001:10001
WORKDIR /project
# No entry point: MLflow's Docker projects and Kubernetes give the whole command
CMD ["tinybench", "train", "--recipe", "quickstart"]
