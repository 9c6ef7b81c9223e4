"""Names of the tags that tinybench sets on runs and registered models."""

from __future__ import annotations

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

TEST_SET_USES = "tinybench.looks."
"""Of an experiment, followed by the hash of the test images: how often they were used to decide something."""

DECISION = "tinybench.decision."
"""Of a model version, followed by the moment: a whole decision as JSON."""

MOVED = "tinybench.moved."
"""Of a registered name, followed by the moment: a decision that moved the champion, kept when versions are deleted."""

NOTE = "mlflow.note.content"
"""The Markdown description that the MLflow UI shows."""
