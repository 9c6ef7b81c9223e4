# The tracking server, its backups and its clean-up. Build it from the repository's root:
#   docker build --file docker/server.Dockerfile --tag tinybench-server .
#
# TensorFlow is in it because `tinybench server restore` loads the champion of each name to prove a backup.

# Debian 12: its pg_dump is of version 15, as the database in compose.yaml, and must not be older than that.
ARG BASE=docker.io/library/python:3.11.15-slim-bookworm@sha256:b18992999dbe963a45a8a4da40ac2b1975be1a776d939d098c647482bcad5cba

# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/tinybench
WORKDIR /src
COPY LICENSE README.md pyproject.toml requirements.lock ./
# The dependencies, of the versions in the lock file, are a layer of their own that a change of the source leaves valid.
# The secret is a configuration of pip, for those who install from another index.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    mkdir tinybench && touch tinybench/__init__.py && \
    /opt/tinybench/bin/pip install --constraint requirements.lock ".[server]"
COPY tinybench tinybench
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/tinybench/bin/pip install --no-deps --force-reinstall . && \
    /opt/tinybench/bin/pip check

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="tinybench server" \
      org.opencontainers.image.licenses="Apache-2.0"
# Security updates of Debian are wanted, so that its packages have no fixed versions.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends postgresql-client && \
    rm -rf /var/lib/apt/lists/* && \
    groupadd --gid 10001 tinybench && \
    useradd --uid 10001 --gid tinybench --create-home --shell /usr/sbin/nologin tinybench && \
    install --directory --owner=tinybench --group=tinybench /artifacts /backups
COPY --from=build /opt/tinybench /opt/tinybench
ENV PATH=/opt/tinybench/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet \
    MLFLOW_DISABLE_TELEMETRY=true \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /home/tinybench
EXPOSE 5000
ENTRYPOINT ["tinybench"]
CMD ["server", "--help"]
