"""Figures of a training, drawn without a screen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from embeddings.gradient_flow import Flow

_COLOURS = ("#1f5fa8", "#d1692b", "#3b8f57", "#8c4fa0", "#a3383d", "#5c6770")


def training_curves(losses: Sequence[float], scores: Mapping[str, Sequence[float]], kept: int | None = None) -> Figure:
    """The loss and the validation scores by epoch, with a line at the epoch whose weights were kept."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(losses) + 1)
    left.plot(epochs, losses, marker="o")
    left.set(title="Training loss", xlabel="epoch", ylabel="nats a text")
    for name, values in scores.items():
        right.plot(epochs, values, marker="o", label=name)
    right.set(title="Validation", xlabel="epoch", ylim=(0, 1.02))
    right.legend()
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        if kept:
            axes.axvline(kept, color="#888888", linewidth=0.8, linestyle=":", zorder=0)
        _plain(axes)
    return figure


def lengths(words: Mapping[str, Sequence[int]]) -> Figure:
    """How long the texts of each split are; of the longest hundredth only that there are such."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    longest = max(float(np.quantile(found, 0.99)) for found in words.values())
    # A bar a length, or for longer texts as many bars as can be told apart.
    edges = np.arange(0.5, longest + 1.5, max(1, round(longest / 50))).tolist()
    for colour, (split, found) in zip(_COLOURS, words.items(), strict=False):
        shares = np.full(len(found), 1 / len(found))
        told = f"{split}: {len(found):,} texts, median {np.median(found):.0f}"
        axes.hist(np.minimum(found, edges[-1]), edges, weights=shares, histtype="step", color=colour, label=told)
    axes.set(
        title="Length of the texts", xlabel="words; the longest hundredth in the last bar", ylabel="share of the texts"
    )
    _plain(axes)
    axes.legend(frameon=False)
    return figure


def pretraining_curves(batches: Sequence[Mapping[str, float]], measured: Sequence[Mapping[str, float]]) -> Figure:
    """The loss on the training text and the perplexity on the validation text, by batch.

    Args:
        batches: each with its number, `batch`, and `loss`.
        measured: each with `batch` and the perplexity of each direction.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([seen["batch"] for seen in batches], [seen["loss"] for seen in batches], color=_COLOURS[0], linewidth=1)
    left.set(title="Training loss", xlabel="batch", ylabel="nats a word")
    for colour, name in zip(_COLOURS, [key for key in measured[-1] if key != "batch"], strict=False):
        places, values = [seen["batch"] for seen in measured], [seen[name] for seen in measured]
        right.plot(
            places, values, "o-", color=colour, label=f"{name.removesuffix('_perplexity')}, at last {values[-1]:.1f}"
        )
    right.set(title="Perplexity on the validation text", xlabel="batch", ylabel="a word", yscale="log")
    right.legend(frameon=False)
    for axes in (left, right):
        _plain(axes)
    return figure


def gradient_norms(batches: Sequence[Mapping[str, Any]]) -> Figure:
    """How large the gradient was: before and after clipping; and of each layer.

    Args:
        batches: each with its number, `batch`, the norms `before` and `after`, and `layers`, the norms before clipping
            by layer.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = [seen["batch"] for seen in batches]
    left.plot(places, [seen["before"] for seen in batches], color=_COLOURS[1], linewidth=1, label="before clipping")
    left.plot(places, [seen["after"] for seen in batches], color=_COLOURS[0], linewidth=1, label="after it")
    left.set(title="Norm of the gradient", xlabel="batch", yscale="log")
    for k, layer in enumerate(batches[-1]["layers"]):
        style = "-" if k < len(_COLOURS) else "--" if k < 2 * len(_COLOURS) else ":"
        norms = [seen["layers"].get(layer, float("nan")) for seen in batches]
        right.plot(places, norms, style, color=_COLOURS[k % len(_COLOURS)], linewidth=1, label=layer)
    right.set(title="By layer, before clipping", xlabel="batch")
    left.legend(frameon=False)
    right.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def confusion_matrix(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Figure:
    """Which labels are taken for which, in shares of the true label."""
    from sklearn.metrics import ConfusionMatrixDisplay

    # Agg draws no more than 2^16 pixels.
    size = min(max(4.0, 0.55 * len(labels) + 2), 30.0)
    figure = Figure(figsize=(size, size), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        gold,
        predicted,
        labels=list(labels),
        normalize="true",
        values_format=".2f",
        xticks_rotation=60,
        cmap="Blues",
        colorbar=False,
        include_values=len(labels) <= 20,
        ax=figure.subplots(),
    )
    return figure


def scores_by_label(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """The F1 of each label or kind of span, the frequent ones above, with how many there are; of very many the most
    frequent ones. With its interval, if `low` and `high` tell it."""
    shown = sorted(scores.items(), key=lambda pair: -pair[1]["support"])[:80]
    figure = Figure(figsize=(6, max(2.0, 0.28 * len(shown) + 1)), layout="constrained")
    axes = figure.subplots()
    names = [f"{label} ({int(values['support']):,})" for label, values in shown]
    f1 = [values["f1"] for _, values in shown]
    ends = None
    if shown and "low" in shown[0][1]:
        ends = [[abs(values["f1"] - values[end]) for _, values in shown] for end in ("low", "high")]
    axes.barh(range(len(shown)), f1, xerr=ends, color=_COLOURS[0], ecolor="#333333", capsize=2)
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set(title="F1 on the test data", xlim=(0, 1.02))
    axes.grid(axis="x", alpha=0.3)
    return figure


def layer_weights(weights: Mapping[str, Sequence[Sequence[float]]], kept: int) -> Figure:
    """How much of each layer of the biLM a head uses, epoch by epoch.

    Args:
        weights: of each mix, by its place; for each epoch a number for each layer.
        kept: the epoch whose weights the model has.
    """
    figure = Figure(figsize=(4 * len(weights), 3.2), layout="constrained")
    all_axes = figure.subplots(1, len(weights), sharey=True, squeeze=False)[0]
    for axes, (place, epochs) in zip(all_axes, weights.items(), strict=True):
        for k, values in enumerate(zip(*epochs, strict=True)):
            axes.plot(range(1, len(epochs) + 1), values, marker="o", label=f"layer {k}" if k else "token layer")
        axes.axvline(kept, color="#888888", linewidth=0.8, linestyle=":", zorder=0)
        axes.set(title=f"ELMo layer weights at the {place}", xlabel="epoch", ylim=(0, 1))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    all_axes[-1].legend()
    return figure


_CELLS = {
    "rnn": "Elman network",
    "gru": "GRU",
    "lstm": "LSTM",
    "projected_lstm": "projected LSTM",
    "lstm_without_forget_gate": "LSTM without forget gate",
}


def gradient_flow(layers: Sequence["Flow"], cells: Mapping[float, Mapping[str, Sequence["Flow"]]]) -> Figure:
    """How an error fades or grows with the distance: above, each direction of a biLM; below, fresh cells side by side.

    Args:
        layers: of the biLM.
        cells: by the factor on the recurrent weights and by the name of the cell.
    """
    figure = Figure(figsize=(13, 8), layout="constrained")
    rows = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.15, 1], hspace=0.04)[:, 0]
    _draw_layers(rows[0], layers)
    _draw_cells(rows[1], cells)
    return figure


def _draw_layers(figure, layers: Sequence["Flow"]) -> None:
    directions = list(dict.fromkeys(flow.direction for flow in layers))
    figure.suptitle("The biLM on this text: the state after word $t$, differentiated by the same state after word $k$")
    all_axes = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for axes, direction in zip(all_axes, directions, strict=True):
        for flow in layers:
            if flow.direction == direction:
                style = "-" if flow.part == "memory" else (0, (4, 1.5))
                _curve(
                    axes, flow, _COLOURS[(flow.layer - 1) % len(_COLOURS)], style, f"layer {flow.layer}, {flow.part}"
                )
        axes.set_title(f"{direction} layers", fontsize=11)
        axes.legend(frameon=False, fontsize=9, loc="lower left")
    for axes in all_axes:
        _finish(axes, [flow.median for flow in layers])
        for place, text, side in ((1.4, "the error grows ↑", "bottom"), (0.7, "the error fades ↓", "top")):
            at = axes.get_yaxis_transform()
            axes.text(0.99, place, text, transform=at, ha="right", va=side, fontsize=9, alpha=0.6)
    all_axes[0].set_ylabel(r"$\Vert\partial s_t/\partial s_k\Vert_F\,/\,\sqrt{n}$")


def _draw_cells(figure, cells: Mapping[float, Mapping[str, Sequence["Flow"]]]) -> None:
    figure.suptitle("Fresh cells of the same width on this text, their recurrent weights made smaller and larger")
    all_axes = figure.subplots(1, len(_CELLS), sharey=True)
    # The last part is the memory where there is one: what carries the error.
    drawn = {name: {gain: found[name][-1] for gain, found in cells.items()} for name in _CELLS}
    for axes, (name, title) in zip(all_axes, _CELLS.items(), strict=True):
        for colour, (gain, flow) in zip(("#6aa5d8", "#333333", "#c8372d"), drawn[name].items(), strict=True):
            _curve(axes, flow, colour, "-", rf"weights $\times$ {gain:g}")
        axes.set_title(f"{title}\n{next(iter(drawn[name].values())).part}", fontsize=10)
        _finish(axes, [flow.median for flows in drawn.values() for flow in flows.values()])
    all_axes[0].set_ylabel(r"$\Vert\partial s_t/\partial s_k\Vert_F\,/\,\sqrt{n}$")
    all_axes[-1].legend(frameon=False, fontsize=9, loc="lower left")


def _curve(axes: Axes, flow: "Flow", colour: str, style, label: str) -> None:
    """The median over the places of the text, and the quartiles around it."""
    lags = range(flow.norms.shape[1])
    low, median, high = np.quantile(flow.norms, [0.25, 0.5, 0.75], axis=0)
    axes.plot(lags, median, color=colour, linestyle=style, linewidth=1.8, label=label)
    axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, medians: Sequence[np.ndarray]) -> None:
    """The same scale for all axes of a row, its ends where the curves are worth seeing."""
    seen = np.concatenate(medians)
    seen = seen[(seen > 0) & np.isfinite(seen)]
    axes.set_yscale("log")
    axes.set_ylim(max(1e-12, min(1e-2, seen.min() / 3)), min(1e12, max(1e2, 3 * seen.max())))
    axes.axhline(1.0, color="#888888", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xlabel("distance $t - k$, words")
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def reliability(bins: Sequence[Mapping[str, float]], error: float) -> Figure:
    """How often answers are right beside the probability that the model gives them (Guo et al. 2017, figure 1).

    Args:
        bins: each with its ends, `low` and `high`, the number of `answers`, their mean `confidence` and the share that
            is `right`.
        error: the expected calibration error.
    """
    figure = Figure(figsize=(4.6, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    places, widths = [part["low"] for part in bins], [part["high"] - part["low"] for part in bins]
    bar = {"width": widths, "align": "edge", "edgecolor": "white", "color": _COLOURS[0]}
    above.bar(places, [part["right"] for part in bins], **bar)
    above.plot([0, 1], [0, 1], color="#888888", linestyle=":")
    above.plot([part["confidence"] for part in bins], [part["right"] for part in bins], "o", color=_COLOURS[1])
    above.set(title=f"Expected calibration error {error:.4f}", ylabel="share that is right", ylim=(0, 1.02))
    below.bar(places, [part["answers"] for part in bins], **bar)
    below.set(xlabel="probability of the answer", ylabel="answers", xlim=(0, 1), yscale="log", ylim=(0.5, None))
    for axes in (above, below):
        _plain(axes)
    return figure
