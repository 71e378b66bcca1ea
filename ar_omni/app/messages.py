"""What people put into the page -> the parts of a message, and how its reply is asked for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ar_omni.app.turns import Heard
from ar_omni.errors import InputError
from ar_omni.media import AUDIO_FORMATS, Audio, load_audio, load_image
from ar_omni.messages import Part

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 1024
"""Pictures are made smaller until no side is longer, in pixels: what is kept for a person stays bounded."""
RATE = 24_000
"""Hz of the recordings that are kept."""
QUIET = 0.03
"""What is less than this share of a recording's peak is silence."""
MARGIN_S = 0.15
"""So much silence is left before and after speech from the microphone."""
OUTPUTS = {"Text": "text", "Picture": "image", "Speech": "speech"}
AS_ASKED = "any style"
STYLES = (AS_ASKED, "classic", "flat", "3d")
"""What nano knows; other styles may be typed."""
BARE_PICTURE = "what is this?"
"""Asked about a picture that comes without words."""


@dataclass(frozen=True)
class Wishes:
    """What the controls of the page say.

    Attributes:
        outputs: names of `OUTPUTS`.
        style: of pictures.
        temperature: of everything that is sampled; 0 leaves it to the checkpoint's preset.
        guidance: towards the prompt, in pictures; 0 likewise.
        seed: for the same reply again; None or below 0 for another one each time.
    """

    outputs: Sequence[str]
    style: str = AS_ASKED
    temperature: float = 0
    guidance: float = 0
    seed: int | None = -1

    def asked(self) -> dict[str, Any]:
        """As `Chat.stream` takes it.

        Raises:
            InputError: nothing is wished for.
        """
        outputs = tuple(ours for name, ours in OUTPUTS.items() if name in self.outputs)
        if not outputs:
            raise InputError("choose at least one of text, picture and speech for the answer")
        shaping = {"temperature": self.temperature, "guidance_scale": self.guidance}
        seed = None if self.seed is None or self.seed < 0 else self.seed
        return {"outputs": outputs, "seed": seed, "previews": True} | {
            name: value for name, value in shaping.items() if value
        }

    def styled(self, text: str) -> str:
        """The text of a message, the style of the picture in it."""
        plain = self.style in ("", AS_ASKED) or "Picture" not in self.outputs or text.endswith(" style")
        return text if plain else f"{text} in {self.style} style"


def written(text: str, files: Sequence[str], wishes: Wishes) -> list[Part]:
    """The parts of a message that was typed, with files beside it.

    Raises:
        InputError: nothing to send, or a file that is no picture and no recording.
    """
    parts = [_from_file(Path(file)) for file in files]
    if text.strip():
        parts.append({"type": "text", "text": wishes.styled(text.strip())})
    elif parts and all(part["type"] == "image" for part in parts):
        parts.append({"type": "text", "text": BARE_PICTURE})
    if not parts:
        raise InputError("expected a message, got none; write, speak, or add a picture")
    return parts


def spoken(wav: Any) -> list[Part]:
    """The part of a message that the page recorded: a wav file in base64.

    Raises:
        InputError: none, or silence, or too long.
    """
    try:
        data = base64.b64decode(wav, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError(f"expected a recording in base64, got {error}") from error
    return [{"type": "audio", "audio": _trimmed(_recording(BytesIO(data))["audio"])}]


def heard(value: Any) -> Heard | None:
    """What the page says was played, if it is that."""
    match value:
        case {"turn": str(turn), "samples": int(samples)} if samples >= 0:
            return Heard(turn, samples)
    return None


def reworded(parts: Sequence[Part], text: str) -> list[Part]:
    """The parts with another text in place of theirs.

    Raises:
        InputError: a blank text.
    """
    if not text.strip():
        raise InputError("expected some text, got none")
    return [part if part["type"] != "text" else {"type": "text", "text": text.strip()} for part in parts]


def _from_file(path: Path) -> Part:
    if path.suffix.lower() in AUDIO_FORMATS:
        return _recording(path)
    return {"type": "image", "image": _bounded(load_image(path))}


def _recording(source: Path | BytesIO) -> Mapping[str, Any]:
    audio = load_audio(source)
    return {"type": "audio", "audio": audio.resample(RATE) if audio.sample_rate > RATE else audio}


def _trimmed(audio: Audio) -> Audio:
    """Without the silence before someone begins to speak and reaches for the button again."""
    loudness = np.abs(audio.samples)
    loud = np.flatnonzero(loudness > QUIET * loudness.max())
    margin = int(MARGIN_S * audio.sample_rate)
    return Audio(audio.samples[max(0, loud[0] - margin) : loud[-1] + margin], audio.sample_rate)


def _bounded(image: Image) -> Image:
    image.thumbnail((SIDE, SIDE))
    return image
