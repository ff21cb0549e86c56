"""The errors a user can cause, one tree for the whole house.

    TelmoError
    ├── InputError      a text, a data file or a request that cannot be used
    ├── ConfigError     a config file that does not say what is wanted
    ├── SourceError     a biLM that cannot be read
    ├── ModelError      a trained model that cannot be read or found
    ├── TrainingError   a training that cannot go on
    └── OutputError     a place that cannot be written or listened on

Each message is one sentence for a person: what was found, where, and what was expected. The command line prints it
without a traceback and exits with `exit_code`; the REST server answers an `InputError` with a status of 422.
"""


class TelmoError(Exception):
    """Anything that a user can mend."""

    exit_code = 1


class InputError(TelmoError):
    """A text, a data file or a request that cannot be used."""


class ConfigError(TelmoError):
    """A config file that does not say what is wanted."""

    exit_code = 2


class SourceError(TelmoError):
    """A biLM that cannot be read."""


class ModelError(TelmoError):
    """A trained model that cannot be read or found."""


class TrainingError(TelmoError):
    """A training that cannot go on."""


class OutputError(TelmoError):
    """A place that cannot be written or listened on."""
