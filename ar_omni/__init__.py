"""One decoder-only Transformer over one stream of text, picture and speech ids.

The names below load on first use, so `import ar_omni` stays light: torch and transformers are imported only
when something needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME_OF = {
    "AROmni": "omni",
    "Chat": "omni",
    "Reply": "omni",
    "Audio": "media",
    "AROmniConfig": "configuration",
    "AROmniForCausalLM": "modeling",
    "Processor": "processing",
    "Vocabulary": "vocabulary",
    "SegmentStart": "events",
    "SegmentEnd": "events",
    "TextDelta": "events",
    "TranscriptDelta": "events",
    "SpeechChunk": "events",
    "ImageProgress": "events",
    "ImageReady": "events",
    "TurnEnd": "events",
    "Stats": "events",
    "AROmniError": "errors",
    "InputError": "errors",
    "UnsupportedOutputError": "errors",
    "CheckpointError": "errors",
    "DependencyError": "errors",
}

__all__ = [*_HOME_OF, "__version__"]

if TYPE_CHECKING:
    from ar_omni.configuration import AROmniConfig
    from ar_omni.errors import (
        AROmniError,
        CheckpointError,
        DependencyError,
        InputError,
        UnsupportedOutputError,
    )
    from ar_omni.events import (
        ImageProgress,
        ImageReady,
        SegmentEnd,
        SegmentStart,
        SpeechChunk,
        Stats,
        TextDelta,
        TranscriptDelta,
        TurnEnd,
    )
    from ar_omni.media import Audio
    from ar_omni.modeling import AROmniForCausalLM
    from ar_omni.omni import AROmni, Chat, Reply
    from ar_omni.processing import Processor
    from ar_omni.vocabulary import Vocabulary


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ar_omni' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"ar_omni.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
