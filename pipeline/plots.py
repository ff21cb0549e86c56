"""Figures of a training, drawn without a screen."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def training_curves(losses: Sequence[float], scores: Mapping[str, Sequence[float]]) -> Figure:
    """The loss and the validation scores by epoch."""
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
        axes.grid(alpha=0.3)
    return figure


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


def layer_weights(weights: Sequence[float]) -> Figure:
    """How much of each layer of the biLM the head uses."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(["characters", *(f"LSTM {k}" for k in range(1, len(weights)))], weights)
    axes.set(title="ELMo layer weights", ylim=(0, 1))
    return figure
