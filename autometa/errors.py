"""Every error that autometa raises on purpose.

```
AutometaError
├── InputError          a table, column, file or option that cannot be used   (also a ValueError)
│   └── SchemaError     new rows do not fit the table that a model was fitted on
├── SpaceError          a search space, or a config that does not fit it      (also a ValueError)
├── RunError            a run folder that cannot be read, resumed or written  (also a RuntimeError)
├── ModelError          a saved model that is damaged, foreign or not safe to load (also a RuntimeError)
├── TrainingError       a meta-training that cannot go on                     (also a RuntimeError)
└── MissingExtraError   an optional package is needed and absent              (also an ImportError)
```

Each message says the rule, the value that broke it, and the cure. The command line prints the
message alone and exits with 2.
"""


class AutometaError(Exception):
    """Base of every error that autometa raises on purpose."""


class InputError(AutometaError, ValueError):
    """A table, column, file or option that cannot be used."""


class SchemaError(InputError):
    """New rows do not fit the table that a model was fitted on."""


class SpaceError(AutometaError, ValueError):
    """A search space, or a config that does not fit it."""


class RunError(AutometaError, RuntimeError):
    """A run folder that cannot be read, resumed or written."""


class ModelError(AutometaError, RuntimeError):
    """A saved model that is damaged, foreign or not safe to load."""


class TrainingError(AutometaError, RuntimeError):
    """A meta-training that cannot go on."""


class MissingExtraError(AutometaError, ImportError):
    """An optional package is needed and absent."""
