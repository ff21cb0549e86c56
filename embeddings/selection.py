"""What is kept of the layers of a sentence."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embeddings.errors import ConfigError

Pooling = Literal["none", "mean", "max"]
Dtype = Literal["float32", "float16"]


@dataclass(frozen=True)
class Selection:
    """What is kept of the layers of a sentence.

    Args:
        layers: `all`; their numbers, such as `2` or `0,2`, 0 the token vectors; `average`; or `mix:0.2,0.5,0.3`, the
            layers times these weights and summed, as a task has learned them (Peters et al. 2018, equation 1).
        pool: `none` for a vector a word; `mean` or `max` over the words for one a sentence, of zeros where there are no
            words.
        dtype: of the numbers that are written.
    """

    layers: str = "all"
    pool: Pooling = "none"
    dtype: Dtype = "float32"

    def names(self, layers: int) -> list[str]:
        """A name for each layer that is kept, of a biLM that has so many with the token vectors.

        Raises:
            ConfigError: it has no such layers.
        """
        if self.layers == "all":
            return [f"layer_{k}" for k in range(layers)]
        if self.layers == "average" or self._weights is not None:
            if self._weights is not None and len(self._weights) != layers:
                raise ConfigError(f"layers '{self.layers}': {len(self._weights)} weights; there are {layers} layers")
            return ["vectors"]
        if not re.fullmatch(r"\d+(,\d+)*", self.layers):
            expected = "expected all, average, numbers such as 0,2, or mix:0.2,0.5,0.3"
            raise ConfigError(f"layers '{self.layers}': {expected}")
        for number in self._numbers:
            if number >= layers:
                raise ConfigError(f"layers '{self.layers}': no layer {number}; expected 0 to {layers - 1}")
            if self._numbers.count(number) > 1:
                raise ConfigError(f"layers '{self.layers}': layer {number} twice; expected each once")
        return [f"layer_{number}" for number in self._numbers]

    @property
    def _numbers(self) -> list[int]:
        return [int(number) for number in self.layers.split(",")]

    @property
    def _weights(self) -> np.ndarray | None:
        """Of a mix."""
        kind, _, weights = self.layers.partition(":")
        if kind != "mix":
            return None
        try:
            found = np.array([float(weight) for weight in weights.split(",")])
        except ValueError:
            found = np.array([np.nan])
        if not (np.abs(found) <= np.finfo(np.float32).max).all():
            raise ConfigError(f"layers '{self.layers}': expected numbers, such as mix:0.2,0.5,0.3")
        return found.astype(np.float32)

    def function(self) -> Callable[[np.ndarray], np.ndarray]:
        """Makes of the layers `[layers, words, dim]` what is kept of them, `[kept, rows, dim]`."""
        weights, dtype = self._weights, np.dtype(self.dtype)

        def layers_of(layers: np.ndarray) -> np.ndarray:
            if self.layers == "all":
                return layers
            if self.layers == "average":
                return layers.mean(axis=0, keepdims=True)
            return layers[self._numbers] if weights is None else np.tensordot(weights, layers, 1)[None]

        def kept(layers: np.ndarray) -> np.ndarray:
            layers = layers_of(layers)
            if self.pool != "none":
                pooled = layers if layers.shape[1] else np.zeros_like(layers, shape=(len(layers), 1, layers.shape[2]))
                layers = (pooled.mean if self.pool == "mean" else pooled.max)(axis=1, keepdims=True)
            # A view would keep the whole batch in memory.
            return layers.astype(dtype, copy=layers.base is not None)

        return kept
