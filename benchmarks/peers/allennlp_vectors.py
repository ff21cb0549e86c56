"""AllenNLP's biLM vectors: allennlp_vectors.py FOLDER OF JOBS (see exchange.py)

Run it with the Python of the AllenNLP environment (see install.py). AllenNLP takes no empty sentence.
"""

import torch
from allennlp.modules.elmo import _ElmoBiLm, batch_to_ids
from allennlp.nn.util import remove_sentence_boundaries
from exchange import answer_jobs


def vectors_of(folder, batches, stateful):
    bilm = _ElmoBiLm(str(folder / "options.json"), str(folder / "weights.hdf5")).eval()
    for batch in batches:
        if not stateful:
            bilm._elmo_lstm.reset_states()
        with torch.no_grad():
            output = bilm(batch_to_ids(batch))
        layers = [remove_sentence_boundaries(layer, output["mask"])[0] for layer in output["activations"]]
        yield [vectors[:, : len(words)].numpy() for vectors, words in zip(torch.stack(layers, dim=1), batch)]


if __name__ == "__main__":
    answer_jobs(vectors_of)
