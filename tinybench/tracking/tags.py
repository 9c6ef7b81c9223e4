"""Names of the tags of runs, experiments and registered models."""

from __future__ import annotations

# What a run is and which runs it belongs to
CONFIG_HASH = "tinybench.config_hash"
ERROR = "tinybench.error"
PHASE = "tinybench.phase"
FOLD = "tinybench.fold"
SOURCE_RUN = "tinybench.source_run"
SEED = "tinybench.seed"
STUDY = "tinybench.study"
TRIAL = "tinybench.trial"
TRIAL_STATE = "tinybench.trial.state"
WINNER = "tinybench.winner"
MODEL_URI = "tinybench.model_uri"
JOURNAL_ENTRY = "tinybench.entry"
"""Of a run that a journal created: finds the run when its writer died before it learned the run's id."""

# What a run was computed from and with
DATA_FINGERPRINT = "data.fingerprint"
SPLIT_HASH = "data.split_hash"
TEST_HASH = "data.test_hash"
"""The hash of the test images and their labels."""
SAME_TEST_IMAGES = (DATA_FINGERPRINT, TEST_HASH)
"""Runs that share the value of one of these may have the same test images; others cannot."""
DATA_WARNINGS = "data.warnings"
MODEL_SHA256 = "model.sha256"
WEIGHTS_SHA256 = "weights.sha256"
DEVICE = "device"
FEED = "feed"
FEED_REASON = "feed.reason"
FEED_LAYER = "feed.layer"
ENGINE = "engine"
ENGINE_PRECISION = "engine.precision"
PRECISION = "precision"
EXPLAIN = "explain"
"""Why a phase has no explanations."""

# Where a run was computed
HOST = "host"
COMMAND = "command"
PYTHON = "python"
PLATFORM = "platform"
PROCESSOR_THREADS = "processor_threads"
GIT_DIRTY = "git.dirty"
LIBRARY_VERSION = "version."
"""Followed by the name of a library."""

# What was measured
MACHINE = "efficiency.machine."
"""Followed by the device, `cpu` or `gpu`: the certificate of the machine on which it was measured."""
NOISE = "efficiency.noise."
"""Followed by the name of a metric: by what share its own repetitions differ."""
COST_NOTES = "efficiency.notes"
COSTS_ABSENT = "efficiency.absent"
"""Why there are no costs."""

# What was decided by test images and about registered models
TEST_SET_USES = "tinybench.looks."
"""Of an experiment, followed by the hash of the test images: how often they were used to decide something."""
DECISION = "tinybench.decision."
"""Of a model version, followed by the moment: a whole decision as JSON."""
MOVED = "tinybench.moved."
"""Of a registered name, followed by the moment: a decision that moved the champion, kept when versions are deleted."""
MADE_BY_TINYBENCH = "tinybench"
"""Of a registered name and its versions."""

# MLflow's own
NOTE = "mlflow.note.content"
"""The Markdown description that the MLflow UI shows."""
PARENT_RUN = "mlflow.parentRunId"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
GIT_COMMIT = "mlflow.source.git.commit"
DATASET_CONTEXT = "mlflow.data.context"
EXPERIMENT_KIND = "mlflow.experimentKind"
