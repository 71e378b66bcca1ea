"""What a tokenizer of each modality must offer: media -> codes in [0, codebook_size) and back.

A tokenizer knows nothing of the unified vocabulary; `ar_omni.vocabulary` turns its codes into ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image

    from ar_omni.media import Audio

CodeSequence = Sequence[int]


@runtime_checkable
class Detokenizer(Protocol):
    """Turns text codes into text one at a time, holding back what is not yet a whole character."""

    def push(self, code: int) -> str:
        """The text that `code` completes; may be empty."""
        ...

    def flush(self) -> str:
        """What is still held back, at the end of the text."""
        ...


@runtime_checkable
class TextTokenizer(Protocol):
    """Text <-> codes."""

    codebook_size: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, codes: CodeSequence) -> str: ...

    def detokenizer(self) -> Detokenizer: ...

    def save(self, folder: str | PathLike) -> None: ...


@runtime_checkable
class ImageTokenizer(Protocol):
    """Pictures <-> a fixed number of codes, in raster order; other codes of what is only looked at."""

    codebook_size: int
    image_size: int
    """Side of the square picture, in pixels."""
    codes_per_image: int
    codes_per_shown_image: int
    embedding: torch.Tensor
    """The codebook: (codebook_size, dim), float32, frozen."""

    def encode(self, image: Image) -> np.ndarray:
        """int64 codes of shape (codes_per_image,), which `decode` turns back."""
        ...

    def encode_shown(self, image: Image) -> np.ndarray:
        """int64 codes of shape (codes_per_shown_image,) of a picture that a user shows: those of `encode`,
        unless the tokenizer has other ones of what it shows."""
        ...

    def decode(self, codes: CodeSequence) -> Image: ...

    def save(self, folder: str | PathLike) -> None: ...


@runtime_checkable
class SpeechStream(Protocol):
    """A speech decoder with memory: all its pieces joined equal one `decode` of all codes, to 1e-4."""

    def push(self, codes: CodeSequence) -> np.ndarray:
        """float32 samples of shape (n,) in [-1, 1] that `codes` complete; may be empty."""
        ...

    def flush(self) -> np.ndarray:
        """The float32 samples (n,) still held back, at the end of the segment."""
        ...


@runtime_checkable
class SpeechTokenizer(Protocol):
    """Audio <-> one code a frame."""

    codebook_size: int
    sample_rate: int
    """Hz, of decoded audio."""
    frame_rate: float
    """Codes a second."""
    hop_length: int
    """Samples a code."""

    def encode(self, audio: Audio) -> np.ndarray:
        """int64 codes of shape (T,); the audio may have any sample rate."""
        ...

    def decode(self, codes: CodeSequence) -> Audio: ...

    def streamer(self) -> SpeechStream: ...

    def save(self, folder: str | PathLike) -> None: ...
