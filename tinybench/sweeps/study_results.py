"""Log the results of a study to its run: a table of the trials, plots, and the best settings as files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import tomli_w
from optuna.trial import FrozenTrial, TrialState

from tinybench.core.csv_text import to_csv
from tinybench.recipes.resolve import resolve
from tinybench.sweeps import study_artifacts, study_files
from tinybench.sweeps.slots import ERROR, RUN_ID
from tinybench.sweeps.study import Study
from tinybench.sweeps.sweep_result import MOST_TRIALS
from tinybench.tracking import tags

if TYPE_CHECKING:
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.run_callbacks import RunCallbacks

BEST_SETTINGS = "best.toml"
_LEFT_OUT = ("recipe", "track.")  # settings that are left to whoever trains by the file


def log_results(
    study: Study, best: list[FrozenTrial], tracker: Tracker, parent: RunWriter, callbacks: RunCallbacks
) -> None:
    """Write the results of a study into its folder, and log them to its run.

    Args:
        study: The study, whose trials have ended.
        best: Its best trials.
        tracker: The store.
        parent: Its run.
        callbacks: Get a message if a plot fails.
    """
    folder = study_files.study_folder(study.name)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"trials.csv": _build_table(study, tracker.find_ids(parent))}
    for index, trial in enumerate(best):
        texts[f"trial_{trial.number}.toml" if index else BEST_SETTINGS] = format_settings(study, trial)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
        parent.log_artifact(folder / name, "")
    for file in study_artifacts.write_plots(study, folder / "figures", callbacks):
        parent.log_artifact(file, "figures")
    parent.set_tags({tags.NOTE: _describe(study)})


def explain_no_result(study: Study) -> str:
    """Return why no trial of a study is complete, and what to do."""
    failed = [trial.user_attrs[ERROR] for trial in study.counted_trials() if trial.state == TrialState.FAIL]
    if not failed:
        return f"No trial was completed: give the study more time by tinybench sweep --resume {study.name}"
    return (
        f"No trial was completed: {len(failed)} failed, the last with: {failed[-1]} "
        f"Mend it, then run them again by: tinybench sweep --resume {study.name} --retry-failed"
    )


def format_settings(study: Study, trial: FrozenTrial) -> str:
    """Return the settings of a trial that differ from the recipe's, as `tinybench train --from` reads them."""
    config = study.space.build_config(trial.params)
    defaults = resolve(config.recipe).flat()
    settings = {
        key: list(value) if isinstance(value, tuple) else "none" if value is None else value
        for key, value in config.flat().items()
        if value != defaults[key] and not key.startswith(_LEFT_OUT)
    }
    values = zip(study.space.objectives, trial.values, strict=True)
    metrics = ", ".join(f"{objective.metric} {value:.6g}" for objective, value in values)
    title = f"# Trial {trial.number} of study {study.name}: {metrics}\n"
    return title + tomli_w.dumps({"recipe": config.recipe} | settings)


def _build_table(study: Study, ids: Mapping[str, str]) -> str:
    """Return every trial that counts, as CSV; `ids` has the ids of their runs by key."""
    keys = [parameter.key for parameter in study.space.parameters]
    objectives = [objective.metric for objective in study.space.objectives]
    rows = []
    for trial in study.counted_trials():
        run_id = trial.user_attrs.get(RUN_ID, "")
        rows.append(
            [
                trial.number,
                trial.state.name.lower(),
                *(trial.values or [""] * len(objectives)),
                *(trial.params.get(key, "") for key in keys),
                trial.duration.total_seconds() if trial.duration else "",
                ids.get(run_id, run_id),
                trial.user_attrs.get(ERROR),
            ]
        )
    return to_csv(["trial", "state", *objectives, *keys, "seconds", "run_id", "reason"], rows, line_end="\n")


def _describe(study: Study) -> str:
    """Return the description of the study's run, as Markdown."""
    counts = study.counts()
    lines = [
        f"Study **{study.name}**: {counts.complete} trials complete, {counts.pruned} pruned, {counts.failed} failed.",
        "",
    ]
    trials = study.top_trials(MOST_TRIALS)
    if trials:
        keys = [parameter.key for parameter in study.space.parameters]
        columns = ["trial", *(objective.metric for objective in study.space.objectives), *keys]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for trial in trials:
            values = [*trial.values, *(trial.params.get(key, "") for key in keys)]
            cells = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in values]
            lines.append(f"| {trial.number} | {' | '.join(cells)} |")
        lines += ["", "Chosen by the validation images. `tinybench train --from best.toml` trains the first again."]
    return "\n".join(lines)
