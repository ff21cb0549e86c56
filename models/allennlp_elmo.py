"""The biLM inside an AllenNLP archive, in the published form.

AllenNLP keeps matrices transposed, the gates of an LSTM in the order i, f, j, o with the forget gate's bias of 1 added,
and a highway's two matrices as one, with the gate that multiplies the input and not, as bilm-tf, the transformed
input: the two gates are each other's negative.
"""

from collections.abc import Sequence

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.weights import Arrays, cell_key, checked
from models.allennlp_config import Section, read_json
from models.torch_weights import TorchWeights

CLIP = 3.0
"""Of memory and projection in all published models, for archives that lack their options."""


def read_bilm(weights: TorchWeights, options: BiLMOptions | None) -> tuple[BiLMOptions, Arrays]:
    """The options and the weights of the biLM.

    Args:
        weights: of AllenNLP's `_ElmoBiLm`.
        options: from the archive's options file, or None where it brings none.

    Raises:
        SourceError: a weight is missing or does not fit the others or the options.
    """
    tokens = weights.below("_token_embedder.")
    characters, dim = tokens.shape("_char_embedding_weights", 2)
    # Row 0 is padding, which the published form leaves out.
    arrays: Arrays = {"char_embed": tokens.take("_char_embedding_weights", characters, dim)[1:]}
    filters = []
    for k in range(tokens.count("char_conv_{}.weight")):
        count, _, width = tokens.shape(f"char_conv_{k}.weight", 3)
        filters.append((width, count))
        arrays[f"CNN/W_cnn_{k}"] = tokens.take(f"char_conv_{k}.weight", count, dim, width).transpose(2, 1, 0)[None]
        arrays[f"CNN/b_cnn_{k}"] = tokens.take(f"char_conv_{k}.bias", count)
    features = sum(count for _, count in filters)
    highways = tokens.count("_highways._layers.{}.weight")
    for k in range(highways):
        matrix = tokens.take(f"_highways._layers.{k}.weight", 2 * features, features)
        bias = tokens.take(f"_highways._layers.{k}.bias", 2 * features)
        arrays[f"CNN_high_{k}/W_transform"], arrays[f"CNN_high_{k}/b_transform"] = matrix[:features].T, bias[:features]
        arrays[f"CNN_high_{k}/W_carry"], arrays[f"CNN_high_{k}/b_carry"] = -matrix[features:].T, -bias[features:]
    projection, _ = tokens.shape("_projection.weight", 2)
    arrays["CNN_proj/W_proj"] = tokens.take("_projection.weight", projection, features).T
    arrays["CNN_proj/b_proj"] = tokens.take("_projection.bias", projection)
    lstms = weights.below("_elmo_lstm.")
    layers = lstms.count("forward_layer_{}.state_projection.weight")
    _, cells = lstms.shape("forward_layer_0.state_projection.weight", 2)
    for direction, name in enumerate(("forward", "backward")):
        for k in range(layers):
            cell = _cell(lstms.below(f"{name}_layer_{k}."), projection, cells)
            arrays |= {f"{cell_key(direction, k)}/{key}": array for key, array in cell.items()}
    for name, (one, other) in {"token": (features, projection), "state": (cells, projection)}.items():
        if one == other:
            raise SourceError(
                f"{weights.where}: the biLM's {name} projection keeps the width {one}; only projections to another "
                "width can be converted"
            )
    sizes = {
        "projection": projection,
        "cells": cells,
        "layers": layers,
        "filters": tuple(filters),
        "character_dim": dim,
        "highways": highways,
    }
    options = _options(sizes, options, weights.where)
    return options, checked(arrays, options, weights.where)


def _options(sizes: dict, options: BiLMOptions | None, where: str) -> BiLMOptions:
    if options is None:
        try:
            return BiLMOptions(**sizes, cell_clip=CLIP, projection_clip=CLIP)
        except ValueError as error:
            raise SourceError(f"{where}: not the weights of a biLM ({error})") from None
    for name, size in sizes.items():
        if getattr(options, name) != size:
            raise SourceError(f"{where}: the biLM's {name} is {size}; the options say {getattr(options, name)}")
    return options


def _cell(weights: TorchWeights, projection: int, cells: int) -> Arrays:
    matrix = np.concatenate(
        [weights.take(f"{part}_linearity.weight", 4 * cells, projection) for part in ("input", "state")], axis=1
    )
    order = np.r_[:cells, 2 * cells : 3 * cells, cells : 2 * cells, 3 * cells : 4 * cells]
    bias = weights.take("state_linearity.bias", 4 * cells)[order]
    bias[2 * cells : 3 * cells] -= 1.0
    return {"W_0": matrix[order].T, "B": bias, "W_P_0": weights.take("state_projection.weight", projection, cells).T}


def read_options(tree: Tree, section: Section) -> BiLMOptions | None:
    """The options that an `elmo` section names, if the archive holds them: at the path that the section gives, or
    where AllenNLP archived files by the key that names them.

    Raises:
        SourceError: they are broken.
    """
    path = section.take("options_file", "", str)
    for name in (path.removeprefix("./"), f"fta/{section.path}.options_file"):
        if name in tree.names:
            return BiLMOptions.from_json(read_json(tree, name), tree.where(name))
    return None


def read_mix(weights: TorchWeights, layers: int) -> list[np.ndarray]:
    """ELMo's weights of the layers, before the softmax, and their scale, as `Elmo` keeps them.

    Args:
        weights: of a `ScalarMix`.
        layers: of the biLM, the character layer included.
    """
    mix: Sequence[np.ndarray] = [weights.take(f"scalar_parameters.{k}", 1) for k in range(layers)]
    return [np.concatenate(mix), weights.take("gamma", 1)[0]]
