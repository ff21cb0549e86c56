"""The stage `evaluate`: how good a trained model is on a data file."""

from pathlib import Path

from embeddings.errors import InputError
from models.metrics import flat_labels, score
from models.predictions import Classification
from models.predictor import Predictor
from pipeline import plots
from pipeline.readers import Format, data_file, read_examples
from serve.registry import find_model


def evaluate_stage(
    model: str,
    data: str,
    text: str | None = None,
    label: str | None = None,
    encoding: str = "utf-8",
    format: Format | None = None,
    plot: Path | None = None,
) -> dict[str, float]:
    """Score a model on labelled texts.

    Args:
        model: a folder, or its place in MLflow.
        data: a data file.
        text, label, encoding, format: as in a training config.
        plot: PNG file for the confusion matrix.

    Raises:
        ModelError: there is no such model.
        InputError: the data cannot be read, or hold a label that the model does not know.
    """
    if plot and plot.suffix != ".png":
        raise InputError(f"{plot}: expected a file that ends in .png")
    predictor = Predictor.load(find_model(model).folder)
    description = predictor.description
    examples = read_examples(data_file(data), description.task, text, label, description.tokenizer, encoding, format)
    examples.numbered(description.labels)
    predictions = predictor.predict(examples.sentences)
    predicted = [answer.label if isinstance(answer, Classification) else answer.tags for answer in predictions]
    if plot:
        gold, answers = flat_labels(examples.targets), flat_labels(predicted)
        plots.confusion_matrix(gold, answers, description.labels).savefig(plot)
    return score(description.task, examples.targets, predicted) | {"examples": len(examples)}
