"""AllenNLP archives as model folders: `simple_tagger`, `crf_tagger` and `bcn`.

What cannot be converted is refused by its name, and so is every key of the config and every weight that nothing here
knows. AllenNLP itself is not needed; PyTorch reads the weights.
"""

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings.archive import Tree, open_tree
from embeddings.atomic import check_folder
from embeddings.errors import SourceError
from embeddings.published import write_published
from embeddings.source import find_source
from embeddings.torch_file import read_state
from models.allennlp_config import Section, read_json
from models.allennlp_model import ArchivedModel
from models.description import MODEL_FILES, Description
from models.features import Features
from models.torch_weights import TorchWeights

CONFIG, WEIGHTS = "config.json", "weights.th"

_EXAMPLES = {
    "tagging": "Ada Lovelace met Charles Babbage in London .",
    "classification": "This film is a pleasure from its first minute to its last .",
}


def is_archive(tree: Tree) -> bool:
    """Whether files are an AllenNLP archive: `weights.th` beside a `config.json`."""
    return archive_in(tree) is not None


def archive_in(tree: Tree) -> Tree | None:
    """The files of the AllenNLP archive among others, or None."""
    for name in tree.named(CONFIG):
        folder, _, last = name.rpartition("/")
        if last == CONFIG and f"{folder}/{WEIGHTS}".removeprefix("/") in tree.names:
            return tree.below(name)
    return None


def convert_archive(source: Tree | str | Path, folder: Path) -> Description:
    """Write the model folder of an archive.

    Args:
        source: `model.tar.gz` or its files.
        folder: to write; it is there whole or not at all.

    Returns:
        What the new model says of itself.

    Raises:
        SourceError: the archive cannot be read, or has a part that cannot be converted.
        OutputError: the folder cannot be written.
    """
    check_folder(folder, MODEL_FILES)
    tree = source if isinstance(source, Tree) else open_tree(Path(source))
    root = archive_in(tree)
    if root is None:
        raise SourceError(f"{tree.place}: no AllenNLP archive; expected {CONFIG} and {WEIGHTS}")
    with root.open(WEIGHTS) as file:
        weights = TorchWeights(read_state(file, root.where(WEIGHTS)), root.where(WEIGHTS))
    model = ArchivedModel(root, Section(read_json(root, CONFIG), "", root.where(CONFIG)), weights)
    model.read()
    name = re.sub(r"[^\w.-]+", "-", folder.absolute().name).strip("-.")
    description = Description(
        name or "allennlp",
        model.task,
        model.labels,
        model.tokenizer,
        model.options(),
        _metrics(root),
        _EXAMPLES[model.task],
    )
    _save(folder, description, model)
    return description


def _save(folder: Path, description: Description, model: ArchivedModel) -> None:
    from models.model_folder import save_model
    from models.training import build_head

    features = Features(model.embedded.features)
    rows = features.rows
    bilm = model.bilm
    shape = (bilm[0].layers + 1, bilm[0].dim) if bilm else None
    head = build_head(description.task, description.head, description.labels, shape, rows)
    model.fill(head)
    with TemporaryDirectory(prefix="telmo-") as temporary:
        if bilm:
            write_published(Path(temporary), *bilm)
        save_model(folder, description, head, find_source(temporary) if bilm else None, features if rows else None)


def _metrics(root: Tree) -> dict[str, float]:
    """The scores in `metrics.json`, if the archive has one."""
    if "metrics.json" not in root.names:
        return {}
    values = read_json(root, "metrics.json")
    if not isinstance(values, dict):
        raise SourceError(f"{root.where('metrics.json')}: expected names and values")
    wanted = ("test_", "best_validation_", "validation_")
    return {
        name: float(value)
        for name, value in values.items()
        if name.startswith(wanted) and type(value) in (int, float) and math.isfinite(value)
    }
