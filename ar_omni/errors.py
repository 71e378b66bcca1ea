"""Every exception that the package raises on purpose; each message is one line: expected, got, what to do."""

from importlib import import_module
from types import ModuleType


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


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or say which extra of this package brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise DependencyError(
            f"expected the package {module!r}, got {error}; install it with: pip install 'ar-omni[{extra}]'"
        ) from error
