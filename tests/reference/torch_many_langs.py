"""ELMoForManyLangs in PyTorch, one word and one sentence at a time (Che et al. 2018, section 3.1; the code of
HIT-SCIR/ELMoForManyLangs tells what the paper does not): random models in its layout on disk, and what they answer."""

import json

import torch

MARKS = ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>"]


def network(words=True, layers=2, activation="relu", highways=2, clips=(3, 3), max_characters=50):
    return {
        "encoder": {
            "name": "elmo",
            "projection_dim": 4,
            "cell_clip": clips[0],
            "proj_clip": clips[1],
            "dim": 7,
            "n_layers": layers,
        },
        "token_embedder": {
            "name": "cnn",
            "activation": activation,
            "filters": [[1, 3], [2, 2], [3, 4]],
            "n_highway": highways,
            "word_dim": 5 if words else 0,
            "char_dim": 3,
            "max_characters_per_token": max_characters,
        },
        "dropout": 0.1,
    }


def write(folder, config, characters, words, seed=0, scale=0.4, path="/gone/network.json", zipped=True):
    """A random model; entries are numbered in their order, behind the words' marks."""
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    embedder, encoder = config["token_embedder"], config["encoder"]
    characters, words = [*characters, *MARKS], [*MARKS[2:3], *MARKS[:2], MARKS[3], *words]
    features, p, c = sum(n for _, n in embedder["filters"]), encoder["projection_dim"], encoder["dim"]
    shapes = {"char_emb_layer.embedding.weight": (len(characters), embedder["char_dim"])}
    if embedder["word_dim"]:
        shapes["word_emb_layer.embedding.weight"] = (len(words), embedder["word_dim"])
    for k, (width, n) in enumerate(embedder["filters"]):
        shapes |= {f"convolutions.{k}.weight": (n, embedder["char_dim"], width), f"convolutions.{k}.bias": (n,)}
    for k in range(embedder["n_highway"]):
        shapes[f"highways._layers.{k}.weight"] = (2 * features, features)
        shapes[f"highways._layers.{k}.bias"] = (2 * features,)
    shapes |= {"projection.weight": (p, embedder["word_dim"] + features), "projection.bias": (p,)}
    cells = {}
    for direction in ("forward", "backward"):
        for k in range(encoder["n_layers"]):
            cell = f"{direction}_layer_{k}"
            cells |= {f"{cell}.{part}_linearity.weight": (4 * c, p) for part in ("input", "state")}
            cells |= {f"{cell}.state_linearity.bias": (4 * c,), f"{cell}.state_projection.weight": (p, c)}
    for name, sizes in (("token_embedder.pkl", shapes), ("encoder.pkl", cells)):
        state = {key: scale * torch.randn(shape, generator=generator) for key, shape in sizes.items()}
        torch.save(state, folder / name, _use_new_zipfile_serialization=zipped)
    for name, entries in (("char.dic", characters), ("word.dic", words)):
        (folder / name).write_text("".join(f"{entry}\t{k}\n" for k, entry in enumerate(entries)), "utf-8")
    (folder / "network.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"config_path": path, "lr": 0.001}))


def dictionary(path):
    """White space was stripped from the line, so that only the number is left of it."""
    pairs = [line.strip().split("\t") for line in path.read_text("utf-8").split("\n")[:-1]]
    return {(pair[0] if len(pair) > 1 else "\u3000"): int(pair[-1]) for pair in pairs}


def characters_of(word, known, most):
    inner = [known[word]] if word in ("<bos>", "<eos>") else [known.get(part, known["<oov>"]) for part in word]
    spelled = [known["<eow>"], *inner, known["<bow>"]]  # swapped, as the original has it
    return spelled + [known["<pad>"]] * (most - len(spelled))


def token(word, state, config, characters, words):
    parts = []
    if words:
        parts.append(state["word_emb_layer.embedding.weight"][words.get(word, words["<oov>"])])
    ids = characters_of(word, characters, config["max_characters_per_token"])
    vectors = state["char_emb_layer.embedding.weight"][ids].T[None]
    activation = {"relu": torch.relu, "tanh": torch.tanh}[config["activation"]]
    x = torch.cat(
        [
            activation(
                torch.conv1d(vectors, state[f"convolutions.{k}.weight"], state[f"convolutions.{k}.bias"])[0].amax(1)
            )
            for k in range(len(config["filters"]))
        ]
    )
    for k in range(config["n_highway"]):
        y, gate = (state[f"highways._layers.{k}.weight"] @ x + state[f"highways._layers.{k}.bias"]).chunk(2)
        gate = torch.sigmoid(gate)
        x = gate * x + (1 - gate) * torch.relu(y)
    return state["projection.weight"] @ torch.cat([*parts, x]) + state["projection.bias"]


def lstm(inputs, state, cell, config):
    h, memory, outputs = torch.zeros(config["projection_dim"]), torch.zeros(config["dim"]), []
    for x in inputs:
        gates = state[f"{cell}.input_linearity.weight"] @ x + state[f"{cell}.state_linearity.weight"] @ h
        i, f, j, o = (gates + state[f"{cell}.state_linearity.bias"]).chunk(4)
        memory = torch.sigmoid(i) * torch.tanh(j) + torch.sigmoid(f) * memory
        memory = memory.clamp(-config["cell_clip"], config["cell_clip"]) if config["cell_clip"] else memory
        h = state[f"{cell}.state_projection.weight"] @ (torch.sigmoid(o) * torch.tanh(memory))
        h = h.clamp(-config["proj_clip"], config["proj_clip"]) if config["proj_clip"] else h
        outputs.append(h)
    return torch.stack(outputs)


def layers(folder, sentence):
    """The layers `[layers + 1, words, 2 * projection]` of a sentence, read on its own."""
    config = json.loads((folder / "network.json").read_text())
    most = config["token_embedder"]["max_characters_per_token"]
    embedder, encoder = (torch.load(folder / f"{name}.pkl") for name in ("token_embedder", "encoder"))
    characters = dictionary(folder / "char.dic")
    words = dictionary(folder / "word.dic") if config["token_embedder"]["word_dim"] else None
    framed = ["<bos>", *(word[: most - 2] for word in sentence), "<eos>"]
    tokens = torch.stack([token(word, embedder, config["token_embedder"], characters, words) for word in framed])
    result, forward, backward = [torch.cat([tokens, tokens], 1)], tokens, tokens
    for k in range(config["encoder"]["n_layers"]):
        ahead = lstm(forward, encoder, f"forward_layer_{k}", config["encoder"])
        back = lstm(backward.flip(0), encoder, f"backward_layer_{k}", config["encoder"]).flip(0)
        forward, backward = (ahead + forward, back + backward) if k else (ahead, back)
        result.append(torch.cat([forward, backward], 1))
    return torch.stack(result)[:, 1:-1].numpy()
