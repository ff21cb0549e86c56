"""Write AllenNLP's biLM vectors: allennlp_vectors.py FOLDER SENTENCES.txt OUT.npz

Run it with the Python of the AllenNLP environment (see install.py). FOLDER holds options.json and weights.hdf5;
SENTENCES.txt holds one whitespace-tokenised sentence a line. OUT.npz gets a float32 array
[layers, words, 2 * projection] for each line, under its number from 0, with the sentence boundaries removed.

AllenNLP's LSTM carries its state from one batch to the next. It is reset before each sentence here, and a sentence is
a batch of its own, so the vectors are stateless.
"""

import sys

import numpy as np
import torch
from allennlp.modules.elmo import _ElmoBiLm, batch_to_ids
from allennlp.nn.util import remove_sentence_boundaries


def main(folder, sentences, out):
    bilm = _ElmoBiLm(f"{folder}/options.json", f"{folder}/weights.hdf5").eval()
    vectors = {}
    with open(sentences, encoding="utf-8") as lines, torch.no_grad():
        for number, line in enumerate(lines):
            words = line.split()
            if not words:  # AllenNLP cannot take an empty sentence
                vectors[str(number)] = np.zeros((bilm.num_layers, 0, bilm.get_output_dim()), np.float32)
                continue
            bilm._elmo_lstm.reset_states()
            output = bilm(batch_to_ids([words]))
            layers = [remove_sentence_boundaries(layer, output["mask"])[0][0] for layer in output["activations"]]
            vectors[str(number)] = torch.stack(layers).numpy()
    with open(out, "wb") as file:
        np.savez(file, **vectors)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: allennlp_vectors.py FOLDER SENTENCES.txt OUT.npz")
    main(*sys.argv[1:])
