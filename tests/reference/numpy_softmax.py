"""The objectives by their equations, one word at a time."""

import numpy as np


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def sampled_softmax(hidden, kernel, bias, targets, candidates, expected):
    """Jean et al. 2015, equation 9: each word against the candidates that it is not."""
    losses = []
    for h, target in zip(hidden, targets, strict=True):
        words = [target, *(word for word in candidates if word != target)]
        logits = np.array([kernel[word] @ h + bias[word] - np.log(expected[word]) for word in words])
        losses.append(-log_softmax(logits)[0])
    return np.array(losses)


def adaptive_log_probability(hidden, word, arrays, cutoffs, vocabulary):
    """Grave et al. 2017, section 4.1: P(word) = P(cluster) P(word | cluster)."""
    arrays = {name.removeprefix("adaptive_softmax/"): array for name, array in arrays.items()}
    head = log_softmax(arrays["head/W"] @ hidden + arrays["head/b"])
    if word < cutoffs[0]:
        return head[word]
    bounds = [*cutoffs, vocabulary]
    k = next(k for k in range(len(cutoffs)) if bounds[k] <= word < bounds[k + 1])
    within = arrays[f"tail_{k}/W"] @ (arrays[f"tail_{k}/W_proj"] @ hidden) + arrays[f"tail_{k}/b"]
    return head[cutoffs[0] + k] + log_softmax(within)[word - bounds[k]]
