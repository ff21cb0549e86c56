"""Texts to a matrix, for scikit-learn's pipelines."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from embeddings.bundled import DEFAULT
from embeddings.source import Source
from embeddings.tokenizer import TokenizerName
from models.estimator_inputs import words_of_texts

if TYPE_CHECKING:
    from models.pickled import PickledSource

_LAYERS = ("average", "concatenate", "mix")
_POOLINGS = ("mean", "max", "last")


class ElmoVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Gives each text one vector: the layers of a biLM, brought together for each word, and then the words.

    Fitting learns nothing from texts; it looks at the source. A fitted one is pickled with the name of its source,
    which has to be there, with the same files, where the pickle is read.

    Args:
        source: of the biLM, as for `telmo embed --source`, or a SavedModel that embeds texts, which is then run.
        layer: which vector a word has: the `average` of all layers, all of them side by side (`concatenate`), their
            weighted sum as the source brings it (`mix`), or one, by its number; 0 is the character layer, -1 the top.
        pooling: the `mean` or the `max` over the words of a text, or the `last` state of each direction.
        tokenizer: of texts that are no lists of words.
        batch_size: most texts in a batch, by default 256.
        batch_words: most words in a batch, padding included.

    Attributes:
        source_: the source as it was found, a `models.pickled.PickledSource`.
        layer_weights_: float32 `[layers]`, what the layers count in an `average` or a `mix`; else None.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> model = make_pipeline(ElmoVectorizer("demo/bilm"), LogisticRegression())
        >>> model.fit(["A fine day.", "No."], ["yes", "no"]).predict(["A day."])
        array(['yes'], dtype='<U3')
    """

    def __init__(
        self,
        source: Source = DEFAULT,
        layer: Literal["average", "concatenate", "mix"] | int = "average",
        pooling: Literal["mean", "max", "last"] = "mean",
        *,
        tokenizer: TokenizerName = "spacy",
        batch_size: int | None = None,
        batch_words: int = 4096,
    ):
        self.source = source
        self.layer = layer
        self.pooling = pooling
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.batch_words = batch_words

    def fit(self, X: Any, y: Any = None) -> "ElmoVectorizer":
        """Look at the source.

        Args:
            X: texts, each a string or a list of words.
            y: not used.

        Raises:
            TypeError, ValueError: X are no texts, or a parameter has a wrong value.
            SourceError: the source cannot be read.
        """
        self._check_parameters()
        words_of_texts(X, self.tokenizer, empty=True)
        # Keras takes seconds to load.
        from models.pickled import PickledSource

        if self.source is None:
            raise ValueError("source is None; expected a biLM, or a SavedModel that embeds texts")
        source = PickledSource(self.source, self.batch_size, self.batch_words)
        layers, dim = source.shape
        if not isinstance(self.layer, str) and not -layers <= self.layer < layers:
            raise ValueError(f"layer is {self.layer}; expected a number from {-layers} to {layers - 1}")
        self.layer_weights_ = self._layer_weights(source, layers)
        self._n_features_out = dim * layers if self.layer == "concatenate" else dim
        self.source_ = source
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The vectors of texts.

        Args:
            X: texts, each a string or a list of words.

        Returns:
            float32 `[texts, width]`; zeros for a text without words.

        Raises:
            TypeError, ValueError: X are no texts.
            SourceError: the source is no longer there, or has other files than at the fit.
        """
        check_is_fitted(self, "source_")
        sentences = words_of_texts(X, self.tokenizer, empty=True)
        vectors = np.zeros((len(sentences), self._n_features_out), np.float32)
        filled = [k for k, sentence in enumerate(sentences) if sentence]
        for k, layers in zip(filled, self.source_.embed([sentences[k] for k in filled]), strict=True):
            vectors[k] = self._pool(self._chosen(layers)).ravel()
        return vectors

    def _check_parameters(self) -> None:
        named = isinstance(self.layer, str) and self.layer in _LAYERS
        if not named and (isinstance(self.layer, bool) or not isinstance(self.layer, int | np.integer)):
            raise ValueError(f"layer is {self.layer!r}; expected a number or one of {', '.join(_LAYERS)}")
        if self.pooling not in _POOLINGS:
            raise ValueError(f"pooling is {self.pooling!r}; expected one of {', '.join(_POOLINGS)}")
        for name in ("batch_size", "batch_words"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | np.integer) or value < 1):
                raise ValueError(f"{name} is {value!r}; expected a whole number above 0")

    def _layer_weights(self, source: "PickledSource", layers: int) -> np.ndarray | None:
        if self.layer == "average":
            return np.full(layers, 1 / layers, np.float32)
        if self.layer != "mix":
            return None
        weights = source.mix()
        if weights is None:
            raise ValueError(f"layer is 'mix', but {self.source} brings no weights of its layers; expected 'average'")
        return weights

    def _chosen(self, layers: np.ndarray) -> np.ndarray:
        """What stands for the words, `[1 or layers, words, dim]`, of their layers `[layers, words, dim]`."""
        if self.layer == "concatenate":
            return layers
        if self.layer_weights_ is None:
            return layers[self.layer][None]
        if self.layer == "mix" and self.source_.normalises:
            # As `embeddings.elmo` does.
            layers = layers - layers.mean(axis=(1, 2), keepdims=True)
            layers = layers / np.sqrt((layers**2).mean(axis=(1, 2), keepdims=True) + 1e-12)
        return np.einsum("l,ltd->td", self.layer_weights_, layers)[None]

    def _pool(self, vectors: np.ndarray) -> np.ndarray:
        if self.pooling == "last":
            forward = self.source_.forward
            return np.concatenate([vectors[:, -1, :forward], vectors[:, 0, forward:]], axis=-1)
        return vectors.mean(axis=1) if self.pooling == "mean" else vectors.max(axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        # float32, whatever comes in.
        tags.transformer_tags.preserves_dtype = []
        return tags
