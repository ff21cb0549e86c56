"""The stage `evaluate`: how good a trained model is on a data file."""

from pathlib import Path

from embeddings.atomic import atomic_file
from models.metrics import flat_labels, score
from models.predictions import Classification
from models.predictor import Predictor
from models.seq2seq_metrics import translation_scores
from models.translator import Translator
from pipeline import plots
from pipeline.config import Texts
from pipeline.data_examples import read_examples
from pipeline.readers import Format


def evaluate_stage(
    folder: Path,
    data: str,
    text: str | None = None,
    label: str | None = None,
    encoding: str = "utf-8",
    format: Format | None = None,
    plot: Path | None = None,
) -> dict[str, float]:
    """Score a model on labelled texts; tags that mark spans in another scheme than the model's, such as BIO for BIOUL,
    are brought to that one.

    Args:
        folder: of the trained model.
        data: a data file.
        text, label, encoding, format: as in a training config.
        plot: PNG file for the confusion matrix; translations have none.

    Raises:
        ModelError: the folder is no model.
        InputError: the data cannot be read, or hold a label that the model does not know.
    """
    predictor = Predictor.load(folder)
    description = predictor.description
    texts = Texts(
        text=text,
        label=label,
        encoding=encoding,
        format=format,
        tokenizer=description.tokenizer,
        target_tokenizer=description.target_tokenizer,
    )
    examples = read_examples(data, description.task, texts)
    if isinstance(predictor, Translator):
        found = [translation.text for translation in predictor.translate(examples.sentences)]
        return translation_scores(examples.references or [], found) | {"examples": len(examples)}
    if description.task == "tagging":
        examples = examples.in_scheme(description.labels, description.head.constraints)
    examples.numbered(description.labels)
    predictions = predictor.predict(examples.sentences)
    predicted = [
        answer.label if isinstance(answer, Classification) else answer.tags  # type: ignore[union-attr]
        for answer in predictions
    ]
    if plot:
        gold, answers = flat_labels(examples.targets), flat_labels(predicted)
        with atomic_file(plot) as temporary:
            plots.confusion_matrix(gold, answers, description.labels).savefig(temporary, format="png")
    return score(description.task, examples.targets, predicted, description.labels) | {"examples": len(examples)}
