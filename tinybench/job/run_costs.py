"""What a model costs to run: measured in processes of their own, and logged as `efficiency/…`.

A phase's model is measured once a run: what it takes depends on its layers and not on its weights, so the phases of a
run share it. `measure` does the same without training, for several models in turn.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tinybench import data
from tinybench.config.network_size import PUBLISHED
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, EngineError
from tinybench.efficiency import measurement
from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.spec import Spec
from tinybench.hardware import certificate
from tinybench.recipes import all_recipes
from tinybench.tracking import tags

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.tracking.run import Run
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.run_callbacks import RunCallbacks

_KEPT = "costs.json"
_THROUGHPUT = "throughput_images_per_second"
_OF_MODEL = ("parameters", "weight_bytes", "flops", "macs")  # the same on every device
_ANY = "tiny-imagenet-tlft"
_CLASSES = 1000


@dataclass(frozen=True)
class Cost:
    """A model on a device, by an engine in a precision.

    Attributes:
        spec: What was measured.
        measurements: One a round, each in a process of its own.
    """

    spec: Spec
    measurements: tuple[Measurement, ...]

    @property
    def figures(self) -> dict[str, float]:
        """By name, such as `latency_p50_ms`: the median over rounds."""
        names = [
            name for name in self.measurements[0].figures if all(name in each.figures for each in self.measurements)
        ]
        found = {name: median(each.figures[name] for each in self.measurements) for name in names}
        if _THROUGHPUT in found:  # with the batch that gave it: the mean of two sizes was never measured
            ordered = sorted(self.measurements, key=lambda each: each.figures[_THROUGHPUT])
            middle = ordered[len(ordered) // 2].figures
            found |= {name: middle[name] for name in (_THROUGHPUT, "throughput_batch")}
        return found

    @property
    def named(self) -> dict[str, float]:
        """As they are logged."""
        return {
            f"efficiency/{name if name in _OF_MODEL else f'{self.spec.device}_{name}'}": value
            for name, value in self.figures.items()
        }


@dataclass(frozen=True)
class Session:
    """Several models, measured in turn on one machine.

    Attributes:
        costs: In the order in which they were asked for.
        noise: By figure, how far the same model measured again lay off at most, as a share; differences below it are
            ties.
        absent: What was not measured, and why.
    """

    costs: tuple[Cost, ...]
    noise: dict[str, float]
    absent: tuple[str, ...] = ()


def of_run(
    run: Run, folder: Path, file: Path, mode: str, device: str, callbacks: RunCallbacks
) -> dict[str, float]:
    """What the model of a run costs on the processor, and on the GPU that it is trained on; measured once a run.

    What cannot be measured is no reason to lose a training: a tag of the run says why there are no figures.

    Args:
        run: Gets the certificate and every call; the figures are for the caller to log.
        folder: Where the run keeps its checkpoints.
        file: The whole model, of whatever weights.
        mode: `quick`, `full` or `off`.
        device: As `training.device.use` says it.
        callbacks: Receives a message if it is measured now.
    """
    if mode == "off":
        return {}
    try:
        found = _kept(folder / _KEPT) or _measured(folder / _KEPT, file, mode, device, callbacks)
    except EngineError as error:
        run.set_tags({tags.COSTS_ABSENT: str(error)})
        return {}
    return log(run, found)


def _kept(file: Path) -> tuple[Cost, ...]:
    if not file.exists():
        return ()
    return tuple(Cost(each.spec, (each,)) for each in map(Measurement.of, json.loads(file.read_text("utf-8"))))


def _measured(kept: Path, file: Path, mode: str, device: str, callbacks: RunCallbacks) -> tuple[Cost, ...]:
    callbacks.on_message("measuring latency, throughput and memory of the model, in a process of its own")
    gpu = re.match(r"gpu:(\d+)", device)
    devices = [("cpu", 0), *([("gpu", int(gpu[1]))] if gpu else [])]
    wanted = Spec(str(file), threads=certificate.usable_threads(), quick=mode == "quick")
    found = [measurement.measure(replace(wanted, device=name, index=index)) for name, index in devices]
    part = kept.with_suffix(".part")
    part.write_text(json.dumps([each.plain() for each in found]), "utf-8")
    part.replace(kept)
    return tuple(Cost(each.spec, (each,)) for each in found)


def log(run: Run, costs: Sequence[Cost]) -> dict[str, float]:
    """Store every call with the machine's certificate; gives the figures, which the caller logs with its own."""
    figures: dict[str, float] = {}
    for cost in costs:
        figures |= cost.named
        text = json.dumps([each.plain() for each in cost.measurements], indent=1)
        run.log_text(text, f"efficiency/{cost.spec.device}.json")
    if costs:
        notes = dict.fromkeys(note for cost in costs for each in cost.measurements for note in each.notes)
        machines = {tags.MACHINE + cost.spec.device: cost.measurements[0].machine for cost in costs}
        run.set_tags(machines | ({tags.COST_NOTES: " ".join(notes)} if notes else {}))
    return figures


def ratio(figures: dict[str, float]) -> dict[str, float]:
    """The efficiency ratio: percent of test images that are answered rightly, by milliseconds of an image's latency."""
    accuracy, latency = figures.get("test/accuracy"), figures.get("efficiency/cpu_latency_p50_ms")
    if accuracy is None or not latency:
        return {}
    return {"efficiency/ratio": 100 * accuracy / latency}


def specs(
    models: Sequence[str],
    devices: Sequence[str],
    *,
    image_size: int | None = None,
    classes: int | None = None,
    threads: int | None = None,
    **given: Any,
) -> list[Spec]:
    """What to measure: every model on every device, with the head of the recipe that has it.

    Args:
        models: Names, or paths of backbones.
        devices: Of `cpu` and `gpu`.
        image_size: Side; that of the recipe when None.
        classes: Of the head; those of the recipe's data when None.
        threads: Of the processor; all when None.
        **given: As `Spec` has it.

    Raises:
        ConfigError: a value that cannot be measured.
    """
    used = certificate.usable_threads() if threads is None else threads
    found = []
    for model in models:
        if model.endswith(".keras") and not Path(model).is_file():
            raise ConfigError(f"Invalid value for `--model`: there is no file {model}. Check the path.")
        recipe, config = _own(model)
        card = data.card(config.dataset)
        own = Spec(
            model,
            recipe,
            image_size=config.image_size if image_size is None else image_size,
            channels=3 if card.shape is None else card.shape[2],
            classes=(card.classes or _CLASSES) if classes is None else classes,
            threads=used,
            **given,
        )
        found += [replace(own, device=device) for device in devices]
    return found


def _own(model: str) -> tuple[str, RunConfig]:
    """The first recipe that has a small network; backbones are all measured in the one that takes any."""
    built = {name: recipe.build() for name, recipe in all_recipes().items()}
    own = [(name, config) for name, config in built.items() if config.model == model and model in PUBLISHED]
    return own[0] if own else (_ANY, built[_ANY])


def measure(
    wanted: Sequence[Spec], rounds: int, track: TrackConfig, *, on_round: Callable[[Measurement], None] = lambda _: None
) -> Session:
    """Measure, log a run for each model and device below a run for all, and say what can be told apart.

    Args:
        wanted: At least one.
        rounds: How often each is measured, in turn with the others.
        track: Where to log.
        on_round: Called with every measurement.

    Raises:
        ConfigError: nothing to measure, or no rounds.
        EngineError: none of them can be measured; one that cannot beside others is in `absent`.
    """
    if not wanted or rounds < 1:
        raise ConfigError("Give at least one model and one round.")
    with measurement.Process(wanted[0]) as first:  # it loads its libraries while this process loads MLflow
        from tinybench.tracking.tracker import Tracker

        tracker = Tracker(track)  # a store that is not there should not be found out after an hour
        session = _rounds(wanted, rounds, on_round, first)
    parent = tracker.open_parent_run(f"measure {', '.join(dict.fromkeys(Path(spec.model).stem for spec in wanted))}")
    with parent.open():
        _log_session(tracker, parent, session)
    return session


def _rounds(
    wanted: Sequence[Spec], rounds: int, on_round: Callable[[Measurement], None], first: measurement.Process
) -> Session:
    """All, and all again: a machine that slows down meanwhile does not do it to one of them alone.

    Args:
        wanted: As `measure` has it.
        rounds: As `measure` has it.
        on_round: As `measure` has it.
        first: Is ready for the first of all.
    """
    ready: measurement.Process | None = first
    found: dict[Spec, list[Measurement]] = {spec: [] for spec in wanted}
    absent: dict[Spec, EngineError] = {}
    for _ in range(rounds):
        for spec in [each for each in found if each not in absent]:
            try:
                found[spec].append(measurement.measure(spec) if ready is None else ready.measure())
            except EngineError as error:
                absent[spec] = error
            else:
                on_round(found[spec][-1])
            ready = None
    costs = tuple(Cost(spec, tuple(each)) for spec, each in found.items() if each and spec not in absent)
    if not costs:
        raise next(iter(absent.values()))
    return Session(costs, _noise(costs), tuple(f"{spec.model} on {spec.device}: {why}" for spec, why in absent.items()))


def _noise(costs: Sequence[Cost]) -> dict[str, float]:
    """By figure; nothing is known where each was measured once: a process agrees with itself, and not with another."""
    if all(len(cost.measurements) == 1 for cost in costs):
        return {}
    names = [name for name in costs[0].figures if name not in (*_OF_MODEL, "latency_calls", "throughput_batch")]
    each = {name: [[one.figures.get(name, 0) for one in cost.measurements] for cost in costs] for name in names}
    return {name: measurement.noise([values for values in found if min(values) > 0]) for name, found in each.items()}


def _log_session(tracker: Tracker, parent: Run, session: Session) -> None:
    """One model's figures go into the run itself."""
    parent.set_tags({f"{tags.NOISE}{name}": f"{share:.4f}" for name, share in session.noise.items()})
    if session.absent:
        parent.set_tags({tags.COSTS_ABSENT: " ".join(session.absent)})
    for cost in session.costs:
        if len(session.costs) == 1:
            _log_cost(parent, cost)
            return
        child = tracker.create_phase_run(parent, "measure", f"{Path(cost.spec.model).stem} on {cost.spec.device}")
        with child.open():
            _log_cost(child, cost)


def _log_cost(run: Run, cost: Cost) -> None:
    run.log_params(vars(cost.spec) | {"rounds": len(cost.measurements)})
    run.log_metrics(log(run, [cost]), 0, time.time_ns() // 1_000_000)
