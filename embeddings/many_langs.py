"""The form of ELMoForManyLangs (Che et al. 2018, "Towards better UD parsing"): a folder with `config.json` and the
network's configuration that it names, the dictionaries `char.dic` and `word.dic`, and the state dicts
`token_embedder.pkl` and `encoder.pkl`.

Against the canonical arrays of `embeddings.weights`, matrices are transposed, the gates of the LSTM stand in another
order with the forget gate's +1 inside the bias, and the gate of a highway multiplies its input, not its transform.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import count, takewhile
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.spelling import Spelling, spelling_of
from embeddings.stored import StoredBiLM
from embeddings.torch_file import read_shapes, read_state
from embeddings.weights import Arrays, cell_key, check_array, check_size, checked

CONFIG, CHARACTERS, WORDS = "config.json", "char.dic", "word.dic"
EMBEDDER, ENCODER = "token_embedder.pkl", "encoder.pkl"
_CHARACTERS, _WORDS = "char_emb_layer.embedding.weight", "word_emb_layer.embedding.weight"

_AS_PUBLISHED = {
    "encoder": {"name": "elmo", "cell_clip": 3, "proj_clip": 3},
    "token_embedder": {"name": "cnn", "activation": "relu", "max_characters_per_token": 50},
}
"""The network that all published models have. Their `config.json` often names a file that was not published."""


class ManyLangsBiLM(StoredBiLM):
    """A biLM of ELMoForManyLangs, with the character CNN as its embedder and ELMo's LSTMs as its encoder.

    Sizes are those of the arrays; the network's configuration tells the activation, the clips and the most characters
    of a word, and as in the original project those of the published models hold where it is missing.

    Args:
        tree: the files.
        place: the folder in the tree, with a slash at its end; nothing for the uppermost.
    """

    form = "ELMoForManyLangs"

    def __init__(self, tree: Tree, place: str):
        super().__init__(tree)
        # The network's configuration is among the JSON files.
        self.files = tuple(
            name
            for name in tree.names
            if name.removeprefix(place) in (CHARACTERS, WORDS, EMBEDDER, ENCODER)
            or (name.startswith(place) and name.endswith(".json"))
        )
        self._place = place

    @classmethod
    def find(cls, tree: Tree) -> "ManyLangsBiLM | None":
        """The biLM among the files of a tree, or None if no embedder of such a one is there.

        Raises:
            SourceError: there is one, but a part of it is missing, or there are several.
        """
        places = [tree.within(name) for name in tree.named(EMBEDDER) if name == tree.within(name) + EMBEDDER]
        if not places:
            return None
        if len(places) > 1:
            raise SourceError(f"{tree.place}: expected one biLM, found {EMBEDDER} in {len(places)} folders")
        missing = [name for name in (CONFIG, CHARACTERS, ENCODER) if places[0] + name not in tree.names]
        if missing:
            raise SourceError(f"{tree.where(places[0] + EMBEDDER)}: no {', '.join(missing)} beside it")
        return cls(tree, places[0])

    @cached_property
    def options(self) -> BiLMOptions:
        network, where = self._network()
        embedder, encoder = self._shapes(EMBEDDER), self._shapes(ENCODER)
        if "char_lstm.weight_ih_l0" in embedder:
            raise SourceError(f"{embedder.where}: a token embedder 'lstm'; expected 'cnn'")
        if network["token_embedder"].get("char_dim") == 0:
            raise SourceError(f"{where}: a token embedder of words alone (char_dim 0); expected one of characters too")
        filters = [embedder.of(key, 3) for key in embedder.numbered("convolutions.{}.weight")]
        characters, character_dim = embedder.of(_CHARACTERS, 2)
        words, word_dim = embedder.of(_WORDS, 2) if _WORDS in embedder else (0, 0)
        projection, cells = encoder.of("forward_layer_0.state_projection.weight", 2)
        published: dict[str, Any] = {
            "lstm": {
                "dim": cells,
                "projection_dim": projection,
                "n_layers": len(encoder.numbered("forward_layer_{}.state_projection.weight")),
                "use_skip_connections": True,
            },
            "char_cnn": {
                "embedding": {"dim": character_dim},
                "filters": [(width, number) for number, _, width in filters],
                "n_characters": characters + 1,
                "n_highway": len(embedder.numbered("highways._layers.{}.weight")),
            },
            "dictionaries": {"words": words, "word_dim": word_dim},
        }
        published["lstm"] |= {key: network["encoder"].get(key) for key in ("cell_clip", "proj_clip")}
        told = ("activation", "max_characters_per_token")
        published["char_cnn"] |= {key: network["token_embedder"].get(key) for key in told}
        options = BiLMOptions.from_json(published, where)
        if not options.projects_state:
            raise SourceError(f"{encoder.where}: {cells} cells and a projection to as many; expected one to fewer")
        check_size(options, where)
        return options

    def _shapes(self, file: str) -> "_Shapes":
        name = self._place + file
        where = self.tree.where(name)
        with self.tree.open(name) as binary:
            return _Shapes(read_shapes(binary, where), where)

    def _network(self) -> tuple[Mapping[str, Any], str]:
        """The network's configuration and its place."""
        name = self._place + CONFIG
        config = self._object(name)
        path = config.get("config_path")
        if not isinstance(path, str):
            raise SourceError(f"{self.tree.where(name)}: no key 'config_path'; expected an ELMoForManyLangs model")
        # Often a path of the machine on which the model was trained.
        last = PurePosixPath(path.replace("\\", "/")).name
        candidates = [self._place + path, self._place + last, f"{self._place}configs/{last}"]
        found = next((candidate for candidate in candidates if candidate in self.tree.names), None)
        network = self._object(found) if found else _AS_PUBLISHED
        for part, kind in (("token_embedder", "cnn"), ("encoder", "elmo")):
            given = network.get(part)
            if not isinstance(given, dict) or str(given.get("name")).lower() != kind:
                given = given.get("name") if isinstance(given, dict) else given
                raise SourceError(f"{self.tree.where(found or name)}: {part} '{given}'; expected '{kind}'")
        return network, self.tree.where(found or name)

    def _object(self, name: str) -> dict[str, Any]:
        value = self.tree.json(name)
        if not isinstance(value, dict):
            raise SourceError(f"{self.tree.where(name)}: holds a {type(value).__name__}; expected an object")
        return value

    def arrays(self) -> Arrays:
        options = self.options
        arrays = _embedder_arrays(self._state(EMBEDDER), options) | _encoder_arrays(self._state(ENCODER), options)
        return checked(arrays, options, self.tree.where(self._place + EMBEDDER))

    def _state(self, file: str) -> "_State":
        name = self._place + file
        where = self.tree.where(name)
        with self.tree.open(name) as binary:
            return _State(read_state(binary, where), where)

    @property
    def spelling(self) -> Spelling:
        characters = self._dictionary(CHARACTERS, self.options.characters)
        words = self._dictionary(WORDS, self.options.words) if self.options.words else []
        try:
            return spelling_of(self.options, words, characters)
        except ValueError as error:
            raise SourceError(f"{self.tree.where(self._place + CHARACTERS)}: {error}") from None

    def _dictionary(self, file: str, size: int) -> list[str]:
        """The entries in the order of their numbers. A number whose entry was given another one by a later line keeps
        nothing, as no word has it."""
        name = self._place + file
        where = self.tree.where(name)
        if name not in self.tree.names:
            raise SourceError(f"{where}: missing; the biLM reads its words by it")
        number_of = _read_dictionary(self.tree.text(name), where)
        entries = [""] * size
        for entry, number in number_of.items():
            if not 0 <= number < size:
                raise SourceError(f"{where}: entry '{entry}' has the number {number}; the weights have {size} rows")
            if entries[number]:
                raise SourceError(f"{where}: number {number} has the entries '{entries[number]}' and '{entry}'")
            entries[number] = entry
        return entries


def _read_dictionary(text: str, where: str) -> dict[str, int]:
    """Entries and their numbers, a line for each with a tab between the two. White space on its own did not survive the
    original's reading: it is the ideographic space, U+3000."""
    number_of = {}
    for line, entry in enumerate(text.removesuffix("\n").split("\n"), 1):
        token, *number = entry.strip().split("\t")
        if not number:
            token, number = "\u3000", [token]
        try:
            (given,) = number
            number_of[token] = int(given)
        except ValueError:
            raise SourceError(f"{where} line {line}: {entry[:40]!r}; expected an entry, a tab and its number") from None
    return number_of


class _Shapes(dict[str, tuple[int, ...]]):
    """The shapes of a state dict's arrays, and the file's place."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], where: str):
        super().__init__(shapes)
        self.where = where

    def of(self, key: str, axes: int) -> tuple[int, ...]:
        if key not in self:
            raise SourceError(f"{self.where}: key '{key}' is missing")
        if len(self[key]) != axes:
            raise SourceError(f"{self.where}: key '{key}' has shape {list(self[key])}; expected {axes} axes")
        return self[key]

    def numbered(self, pattern: str) -> list[str]:
        """The keys `a.0`, `a.1` and so on, as many as there are."""
        return list(takewhile(self.__contains__, map(pattern.format, count())))


class _State:
    """A state dict that is asked for keys of a certain shape."""

    def __init__(self, arrays: Mapping[str, np.ndarray], where: str):
        self._arrays, self._where = arrays, where

    def __call__(self, key: str, *shape: int) -> np.ndarray:
        array = self._arrays.get(key)
        check_array(array, key, shape, self._where)
        assert array is not None
        if not np.isfinite(array).all():
            raise SourceError(f"{self._where}: key '{key}' holds infinities or values that are no numbers")
        return array


def _embedder_arrays(state: _State, options: BiLMOptions) -> Arrays:
    o, features = options, options.features
    arrays = {"char_embed": state(_CHARACTERS, o.characters, o.character_dim)}
    if o.words:
        arrays["embedding"] = state(_WORDS, o.words, o.word_dim)
    for k, (width, number) in enumerate(o.filters):
        arrays[f"CNN/W_cnn_{k}"] = state(f"convolutions.{k}.weight", number, o.character_dim, width).T[None]
        arrays[f"CNN/b_cnn_{k}"] = state(f"convolutions.{k}.bias", number)
    for k in range(o.highways):
        layer = f"highways._layers.{k}"
        transform, gate = np.split(state(f"{layer}.weight", 2 * features, features), 2)
        arrays[f"CNN_high_{k}/W_transform"], arrays[f"CNN_high_{k}/W_carry"] = transform.T, -gate.T
        transform, gate = np.split(state(f"{layer}.bias", 2 * features), 2)
        arrays[f"CNN_high_{k}/b_transform"], arrays[f"CNN_high_{k}/b_carry"] = transform, -gate
    arrays["CNN_proj/W_proj"] = state("projection.weight", o.projection, o.word_dim + features).T
    arrays["CNN_proj/b_proj"] = state("projection.bias", o.projection)
    return arrays


def _encoder_arrays(state: _State, options: BiLMOptions) -> Arrays:
    p, c = options.projection, options.cells
    arrays = {}
    for direction, name in enumerate(("forward", "backward")):
        for k in range(options.layers):
            layer, cell = f"{name}_layer_{k}", cell_key(direction, k)
            kernels = [state(f"{layer}.{part}_linearity.weight", 4 * c, p) for part in ("input", "state")]
            arrays[f"{cell}/W_0"] = np.concatenate([_reordered(kernel).T for kernel in kernels])
            bias = _reordered(state(f"{layer}.state_linearity.bias", 4 * c))
            # Telmo's cell adds it.
            bias[2 * c : 3 * c] -= 1
            arrays[f"{cell}/B"] = bias
            arrays[f"{cell}/W_P_0"] = state(f"{layer}.state_projection.weight", p, c).T
    return arrays


def _reordered(gates: np.ndarray) -> np.ndarray:
    """From the gates i, f, j, o, one above the other, to i, j, f, o."""
    i, f, j, o = np.split(gates, 4)
    return np.concatenate([i, j, f, o])
