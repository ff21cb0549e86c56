"""By what a trained model is known wherever its folder lies, so that an evaluation finds the run that trained it."""

from pathlib import Path

from models.description import DESCRIPTION, HEAD_WEIGHTS
from pipeline.checksums import checksum_of_files

MODEL_CHECKSUM = "model.sha256"
"""The tag of the run."""


def checksum_of_model(folder: Path) -> str:
    """SHA-256 of what a model says of itself, which names its data, and of its weights, but for the biLM."""
    files = (DESCRIPTION, HEAD_WEIGHTS, "tfidf.npz")
    return checksum_of_files([folder / name for name in files if (folder / name).exists()])
