"""What a registered model needs beside its own code, pinned as it is installed here."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = (
    "h5py",
    "keras",
    "mlflow",
    "numba",
    "numpy",
    "pydantic",
    "sacrebleu",
    "scikit-learn",
    "scipy",
    "seqeval",
    "spacy",
    "threadpoolctl",
)
"""That `embeddings` and `models` import to answer, beside Keras's backend."""


@contextmanager
def model_requirements() -> Iterator[list[str]]:
    """The packages that answer, each at its version here; and, as constraints in a file of which MLflow keeps a copy,
    the versions of all that these need."""
    import keras

    packages = (*PACKAGES, keras.config.backend())
    pins = pinned(packages)
    with TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), "utf-8")
        yield [*(f"{name}=={pins[name]}" for name in packages), f"-c {constraints}"]


@cache
def pinned(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of packages and of all that they require on a machine like this one.

    Args:
        packages: their names.

    Raises:
        PackageNotFoundError: one of the packages is not installed.
    """
    found: dict[str, str] = {}
    asked = [Requirement(package) for package in packages]
    needed, seen = set(packages), set()
    while asked:
        requirement = asked.pop()
        name, extras = canonicalize_name(requirement.name), ("", *sorted(requirement.extras))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:
            # What a package names and was installed without, nobody misses here.
            if name in needed:
                raise
            continue
        found[name] = metadata["Version"]
        for below in map(Requirement, metadata.get_all("Requires-Dist") or ()):
            if not below.marker or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                asked.append(below)
    return dict(sorted(found.items()))
