"""What the gates need of a model: its stored answers, its files, itself loaded again, and its latency.

A champion that is no longer there is no reason to stop: the gates say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tinybench.core.errors import EngineError, TrackingError, in_one_line
from tinybench.efficiency import measurement
from tinybench.efficiency.spec import Spec
from tinybench.hardware import certificate
from tinybench.registry.gates import LostChampion, EvaluatedModel
from tinybench.tracking import logged_model, run_record
from tinybench.tracking.model_logging import MODEL_TAG

if TYPE_CHECKING:
    from tinybench.registry.policy import Policy
    from tinybench.tracking.logged_model import ModelFiles
    from tinybench.tracking.tracker import Tracker


@contextmanager
def collect(
    tracker: Tracker,
    policy: Policy,
    candidate: str,
    champion: str | None,
    tell: Callable[[str], None] = lambda words: None,
) -> Iterator[tuple[EvaluatedModel, EvaluatedModel | LostChampion | None]]:
    """The candidate and the champion, by the runs that trained them; what a policy leaves out is not looked for.

    Args:
        tracker: The store.
        policy: The gates that will judge.
        candidate: Its run.
        champion: Its run; None where there is none.
        tell: Is told what is being done, which may take a minute.

    Raises:
        TrackingError: the candidate's run or model is not there, or kept no answers.
    """
    with ExitStack() as kept:
        subject, model = _open_model(tracker, candidate, kept)
        subjects, models, lost = [subject], [model], None
        if champion is not None and policy.compares:
            try:
                beside, its_model = _open_model(tracker, champion, kept)
            except TrackingError as error:
                lost = LostChampion(f"the champion is lost: {error}")
            else:
                subjects, models = [subject, beside], [model, its_model]
        if policy.reload is not None:
            tell("Loading the model again as a server does …")
            subjects[0] = _add_reload_check(subject, model)
        if policy.latency is not None:
            rounds = int(policy.latency.rounds) if len(subjects) > 1 else 1  # which tell how far to trust a ratio
            subjects = _add_latencies(subjects, models, rounds, tell)
        yield subjects[0], subjects[1] if len(subjects) > 1 else lost


def get_model_uri(tracker: Tracker, run_id: str) -> str:
    """The address of the model that a run logged.

    Raises:
        TrackingError: it logged none.
    """
    found: str | None = tracker.get_run(run_id).data.tags.get(MODEL_TAG)
    if found is None:
        raise TrackingError(f"Run {run_id} logged no model: give a whole run that is finished, and no phase of one.")
    return found


def _open_model(tracker: Tracker, run_id: str, kept: ExitStack) -> tuple[EvaluatedModel, ModelFiles]:
    """A model's side of the gates, and its files while they are kept.

    Raises:
        TrackingError: one of both is gone or damaged.
    """
    try:
        model = kept.enter_context(logged_model.download(get_model_uri(tracker, run_id)))
        return _describe_model(tracker, run_id, model), model
    except TrackingError:
        raise
    except Exception as error:  # what a damaged file does when it is read is anybody's guess
        raise TrackingError(f"What run {run_id} kept cannot be read: {in_one_line(error)}.") from error


def _describe_model(tracker: Tracker, run_id: str, model: ModelFiles) -> EvaluatedModel:
    last = run_record.find_final_run(tracker, run_id)
    answers = run_record.read_predictions(tracker, last, "test")
    if answers is None:
        raise TrackingError(f"Run {run_id} kept no answers on test images: it cannot be judged.")
    tags = tracker.find_top_run(run_id).data.tags
    data, test = (tags.get(name, "") for name in run_record.SAME_TEST_TAGS)
    return EvaluatedModel(
        run_id,
        answers,
        model.metadata.temperature,
        model.metadata.labels,
        data,
        test,
        model.signature,
        size_bytes=model.keras_path.stat().st_size,
    )


def _add_reload_check(subject: EvaluatedModel, model: ModelFiles) -> EvaluatedModel:
    try:
        return replace(subject, reloaded=model.run_reload_check())
    except Exception as error:  # what a stored model does when it is loaded is anybody's guess
        return replace(subject, reload_error=f"it cannot be used: {in_one_line(error)}")


def _add_latencies(subjects: list[EvaluatedModel], models: list[ModelFiles], rounds: int, tell: Callable[[str], None]) -> list[EvaluatedModel]:
    """With the latency of each, in turn, so that what else the machine does falls on both."""
    threads = certificate.usable_threads()
    specs = [Spec(str(model.keras_path), threads=threads, latency_only=True) for model in models]
    measured = list(subjects)
    for number in range(rounds):
        for place, spec in enumerate(specs):
            if not measured[place].latency_error:
                tell(f"Measuring latency, round {number + 1} of {rounds}: {('candidate', 'champion')[place]} …")
                measured[place] = _add_latency_round(measured[place], spec)
    return measured


def _add_latency_round(subject: EvaluatedModel, spec: Spec) -> EvaluatedModel:
    """With one more round; without any where one failed."""
    try:
        found = measurement.measure(spec).figures["latency_p99_ms"]
    except EngineError as error:
        return replace(subject, latencies_p99_ms=(), latency_error=str(error))
    return replace(subject, latencies_p99_ms=(*subject.latencies_p99_ms, found))
