"""What registered models take and give, as MLflow writes it down.

`spark_udf` makes its result type of the outputs: a struct of a head's answer, an array of numbers of a biLM's. What has
no place in them, the tokens of a tagging, whose items are of several types, and what a parameter adds, is in the
answer for all that; a `result_type` of one's own can ask for its `paths`.
"""

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property

from models.description import Description

# Columns without names: a list of texts is taken as well as a table.
_TEXT = ColSpec(DataType.string)
_TOP_K = ParamSpec("top_k", DataType.long, None)
_SPAN = Object(
    [
        Property("label", DataType.string),
        Property("text", DataType.string),
        Property("start", DataType.long),
        Property("end", DataType.long),
    ]
)
_HYPOTHESIS = Object([Property("text", DataType.string), Property("score", DataType.double)])


def signature_of(description: Description) -> ModelSignature:
    """The signature of a trained model."""
    outputs: list[ColSpec | TensorSpec]
    texts = Schema([_TEXT] * (2 if getattr(description.head, "pairs", False) else 1))
    if description.task == "tagging":
        outputs = [ColSpec(Array(DataType.string), "tags"), ColSpec(Array(_SPAN), "spans")]
        params = [ParamSpec("return_spans", DataType.boolean, True)]
        # TF-IDF weighs no paths.
        params += [_TOP_K] if description.kind == "head" else []
    elif description.task == "seq2seq":
        outputs, params = [ColSpec(DataType.string, "text"), ColSpec(Array(_HYPOTHESIS), "hypotheses")], [_TOP_K]
    else:
        outputs, params = [ColSpec(DataType.string, "label"), ColSpec(Map(DataType.double), "probabilities")], [_TOP_K]
        if getattr(description.head, "multi_label", False):
            outputs.append(ColSpec(Array(DataType.string), "labels"))
    return ModelSignature(texts, Schema(outputs), ParamSchema(params))


def bilm_signature() -> ModelSignature:
    """The signature of a biLM."""
    params = [ParamSpec("layers", DataType.string, "average"), ParamSpec("pool", DataType.string, "mean")]
    return ModelSignature(Schema([_TEXT]), Schema([ColSpec(Array(DataType.double))]), ParamSchema(params))
