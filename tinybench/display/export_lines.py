"""Describe an exported model in lines of text: its files, the input that it takes, and how well it agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinybench.core.metric_text import with_interval

if TYPE_CHECKING:
    from tinybench.commands.export import ExportedModel


def format_export(exported: ExportedModel) -> str:
    """Return the lines that the command prints."""
    lines = [f"wrote {exported.path} and {exported.metadata_path}", _describe_input(exported.metadata)]
    lines.append(_describe_accuracy(exported) if exported.quantized else _describe_difference(exported))
    if exported.metadata["license"] == "unknown":
        lines.append("License: unknown; --license NAME writes one into the file.")
    if exported.custom_layers:
        layers = ", ".join(exported.custom_layers)
        lines.append(f"Import tinybench.models.layers before you load it in Keras: it has the layers {layers}.")
    return "\n".join(lines)


def _describe_input(metadata: Any) -> str:
    """Return what the exported model takes, and what it does to it."""
    pixels, resize = metadata["input"], metadata["preprocessing"]["resize"]
    _, height, width, channels = pixels["shape"]
    low, high = pixels["range"]
    resized = f"resized to {resize['height']} x {resize['width']} and scaled" if resize else "scaled"
    return (
        f"Input: {pixels['dtype']} (n, {height}, {width}, {channels}), {pixels['channel_order']} pixels from {low} to "
        f"{high}; they are {resized} inside the model."
    )


def _describe_difference(exported: ExportedModel) -> str:
    agreement = exported.agreement
    return (
        f"Compared with the model of the run on {agreement.images} test images: same class for "
        f"{agreement.agreement:.1%}; probabilities differ by at most {agreement.difference:.2g}."
    )


def _describe_accuracy(exported: ExportedModel) -> str:
    """Return how accurate a quantized model is beside the original."""
    agreement = exported.agreement
    low, high = agreement.accuracy_difference_low, agreement.accuracy_difference_high
    difference = with_interval(agreement.accuracy_difference, low, high, "+.4f")
    return (
        f"Accuracy on {agreement.images:,} test images: {agreement.accuracy:.4f}; of the model of the run: "
        f"{agreement.accuracy_of_original:.4f}; difference {difference}.\n"
        f"Same class for {agreement.agreement:.1%} of these images; probabilities differ by at most "
        f"{agreement.difference:.2g}."
    )
