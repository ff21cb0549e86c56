"""The graph of a SavedModel, looked at and not run."""

from typing import Any

from embeddings.errors import SourceError


def read_graph(data: bytes, where: str) -> Any:
    """The first `MetaGraphDef` in a `saved_model.pb`.

    Args:
        data: of the file.
        where: the file, for messages.

    Raises:
        SourceError: it is no SavedModel, or has no graph.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise SourceError(f"{where}: not a SavedModel ({error})") from None
    if not model.meta_graphs:
        raise SourceError(f"{where}: a SavedModel without a graph")
    return model.meta_graphs[0]
