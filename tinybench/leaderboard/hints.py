"""Say where the ranking of a board may be flattered, or compares what differs by more than the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tinybench.core.count_text import describe_count
from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.published import list_other_settings
from tinybench.tracking import tags
from tinybench.tracking.run_cache import StoredRun

STUDY_OBJECTIVE = "sweep.objective"
"""The parameter of a study's run that has its objectives."""
_SETTINGS = {"batch_size": "batch size", "image_size": "image size"}
_CONDITIONS = {
    tags.PRECISION: "precision",
    tags.DEVICE: "device",
    tags.ENGINE: "engine",
    tags.ENGINE_PRECISION: "precision of the features",
}
_ALONE = "1"  # cell at a time
_NAMED = 3  # models or values in a hint


def list_hints(
    models: Mapping[str, Sequence[Entry]], runs: Mapping[str, StoredRun], uses: int, other_images: int
) -> tuple[str, ...]:
    """Return what to know before trusting the order of a board.

    Args:
        models: The ranked runs of each model, by its name.
        runs: All finished runs of the store by id, in which studies are looked up.
        uses: How often the test images were used to decide something.
        other_images: Number of runs on this data set that were tested on other images.
    """
    return (
        *_list_data_warnings(models),
        *_list_single_seeds(models),
        *_list_selections_by_test(models, runs),
        *_list_settings_of_recipes(models),
        *_list_different_settings(models),
        *_list_different_conditions(models),
        *_list_different_machines(models),
        *_list_shared_machines(models),
        *([f"The test images were used {describe_count(uses, 'times')} to decide about a model."] if uses else []),
        *([f"{describe_count(other_images, 'runs')} on these data used other test images."] if other_images else []),
    )


def _list_data_warnings(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield what the runs say about their data: duplicates in two splits, a subset, classes of ImageNet."""
    texts = {
        text: name
        for name, entries in models.items()
        for entry in entries
        for text in [entry.run.tags.get(tags.DATA_WARNINGS, "")]
        if text
    }
    yield from (text if len(texts) == 1 else f"{name}: {text}" for text, name in texts.items())


def _list_single_seeds(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    single = [name for name, entries in models.items() if len(entries) == 1]
    if single and len(single) < len(models):
        yield f"One seed only: {_shorten(single)}. It is assumed to vary over seeds as the others do."


def _list_selections_by_test(models: Mapping[str, Sequence[Entry]], runs: Mapping[str, StoredRun]) -> Iterator[str]:
    """Yield the models that a study has chosen by test images."""
    for name, entries in models.items():
        parents = [runs.get(entry.run.tags.get(tags.PARENT_RUN, "")) for entry in entries]
        if any(parent is not None and "test/" in parent.params.get(STUDY_OBJECTIVE, "") for parent in parents):
            yield f"{name} was chosen by a study on the test images: its metrics there are too good."


def _list_settings_of_recipes(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield the models whose published metrics are those of other settings."""
    for name, entries in models.items():
        other = list_other_settings(entries[0])
        if other:
            texts = [f"{key} {value} and not {published}" for key, (value, published) in other.items()]
            yield f"What is published of {name} was trained with other settings: here {_shorten(texts)}."


def _list_different_settings(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    for setting, title in _SETTINGS.items():
        by_model = {name: [entry.settings.get(setting, "") for entry in entries] for name, entries in models.items()}
        yield from _describe_minority(title, by_model)


def _list_different_conditions(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    for tag, title in _CONDITIONS.items():
        by_model = {name: [_read_condition(entry, tag) for entry in entries] for name, entries in models.items()}
        yield from _describe_minority(title, by_model)


def _read_condition(entry: Entry, tag: str) -> str:
    value = entry.phase_run.tags.get(tag) or entry.run.tags.get(tag, "")
    # The number of a GPU says nothing: seeds are trained on all of a machine
    return value.partition(":")[0] if tag == tags.DEVICE else value


def _describe_minority(title: str, by_model: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield which models have another value than most, in all runs or in some."""
    usual = _find_usual(by_model)
    if usual is not None:
        differing = [
            f"{name} ({', '.join(sorted(unusual))})" for name, unusual in _list_differing(by_model, usual).items()
        ]
        yield f"Another {title} than {usual}: {_shorten(differing)}."


def _find_usual(by_model: Mapping[str, Sequence[str]]) -> str | None:
    """Return the value that most models have, or of several the one that most runs have.

    Returns:
        None if all runs have the same, or say nothing.
    """
    models = Counter(value for values in by_model.values() for value in {*values} - {""})
    runs = Counter(value for values in by_model.values() for value in values)
    return max(sorted(models), key=lambda value: (models[value], runs[value])) if len(models) > 1 else None


def _list_differing(by_model: Mapping[str, Sequence[str]], usual: str) -> dict[str, set[str]]:
    """Return the models with another value than the usual one, with their other values."""
    return {name: unusual for name, values in by_model.items() if (unusual := {*values} - {"", usual})}


def _list_different_machines(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    for device, where in {"cpu": "", "gpu": " on the GPU"}.items():
        machines = {
            name: [
                source.tags.get(f"{tags.MACHINE}{device}", "")
                for entry in entries
                for source in (entry.run, entry.phase_run)
            ]
            for name, entries in models.items()
        }
        usual = _find_usual(machines)
        if usual is not None:
            names = _shorten([*_list_differing(machines, usual)])
            yield (
                f"Latency and memory{where} were measured on different machines: those of {names} on another than "
                "most. They cannot be compared."
            )


def _list_shared_machines(models: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield the models whose runs shared the machine with another number of runs of a benchmark than most."""
    by_model = {
        name: [entry.run.tags.get(tags.CELL_WORKERS) or _ALONE for entry in entries] for name, entries in models.items()
    }
    for sentence in _describe_minority("number of runs at a time", by_model):
        yield f"{sentence} Latencies and training times cannot be compared."


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
