"""Every exception that the package raises on purpose; each message is one line: expected, got, what to do."""


class AROmniError(Exception):
    """Base class: catch it to catch everything that the package refuses on purpose."""


class InputError(AROmniError, ValueError):
    """A text, picture, recording, message or argument that cannot be used as it is."""


class UnsupportedOutputError(InputError):
    """An output that the loaded checkpoint was not trained to give."""


class CheckpointError(AROmniError, ValueError):
    """A checkpoint that is unknown, incomplete, damaged, or made for another model."""


class DependencyError(AROmniError, ImportError):
    """An optional package that is not installed; the message names the extra that brings it."""
