"""One id space for text, image codes and speech codes. No integer id is written anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

SPECIALS = ("bos", "pad", "eos", "boi", "eoi", "boa", "eoa", "eoh", "eom", "ins", "res")
"""Names of the control ids: begin/pad/end of sequence, begin/end of image and audio, end of human/machine
turn, and the marks around what was heard (`ins` transcript `res`)."""

MODALITIES = ("text", "image", "speech")


@dataclass(frozen=True)
class Span:
    """The ids `[start, stop)` of one modality; a code c of its tokenizer has the id `start + c`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a span needs 0 <= start < stop, got start={self.start}, stop={self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, token_id: object) -> bool:
        return isinstance(token_id, int) and self.start <= token_id < self.stop

    def id(self, code: int) -> int:
        """The id of a code in `[0, len(self))`."""
        if not 0 <= code < len(self):
            raise ValueError(f"expected a code in [0, {len(self)}), got {code}")
        return self.start + code

    def code(self, token_id: int) -> int:
        """The code of an id in `[start, stop)`."""
        if token_id not in self:
            raise ValueError(f"expected an id in [{self.start}, {self.stop}), got {token_id}")
        return token_id - self.start


@dataclass(frozen=True)
class Vocabulary:
    """Where every modality and every control id lives.

    Args:
        size: number of ids; the model's embedding has this many rows.
        text: span of the text tokenizer's codes.
        image: span of the image tokenizer's codes.
        speech: span of the speech tokenizer's codes.
        specials: name -> id for each name in `SPECIALS`.

    Raises:
        ValueError: two uses of one id, an id outside `[0, size)`, or a missing special.
    """

    size: int
    text: Span
    image: Span
    speech: Span
    specials: Mapping[str, int] = field(hash=False)

    def __post_init__(self) -> None:
        if set(self.specials) != set(SPECIALS):
            wrong = sorted(set(self.specials) ^ set(SPECIALS))
            raise ValueError(f"expected the specials {', '.join(SPECIALS)}; amiss: {', '.join(wrong)}")
        used = {name: getattr(self, name) for name in MODALITIES}
        used |= {name: Span(i, i + 1) for name, i in self.specials.items()}
        for name, span in used.items():
            if span.stop > self.size:
                raise ValueError(f"{name} ends at {span.stop}, outside the {self.size} ids of the vocabulary")
        for (a, s), (b, t) in combinations(used.items(), 2):
            if s.start < t.stop and t.start < s.stop:
                raise ValueError(f"{a} [{s.start}, {s.stop}) overlaps {b} [{t.start}, {t.stop})")

    @property
    def bos_id(self) -> int:
        return self.specials["bos"]

    @property
    def pad_id(self) -> int:
        return self.specials["pad"]

    @property
    def eos_id(self) -> int:
        return self.specials["eos"]

    @property
    def boi_id(self) -> int:
        return self.specials["boi"]

    @property
    def eoi_id(self) -> int:
        return self.specials["eoi"]

    @property
    def boa_id(self) -> int:
        return self.specials["boa"]

    @property
    def eoa_id(self) -> int:
        return self.specials["eoa"]

    @property
    def eoh_id(self) -> int:
        return self.specials["eoh"]

    @property
    def eom_id(self) -> int:
        return self.specials["eom"]

    @property
    def ins_id(self) -> int:
        return self.specials["ins"]

    @property
    def res_id(self) -> int:
        return self.specials["res"]

    def modality(self, token_id: int) -> str | None:
        """`"text"`, `"image"`, `"speech"`, or None for a control or unused id."""
        return next((name for name in MODALITIES if token_id in getattr(self, name)), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        spans = {name: [getattr(self, name).start, getattr(self, name).stop] for name in MODALITIES}
        return {"size": self.size, **spans, "specials": dict(self.specials)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Vocabulary":
        spans = {name: Span(*values[name]) for name in MODALITIES}
        return cls(size=values["size"], **spans, specials=dict(values["specials"]))

    @classmethod
    def nano(cls, text_size: int, image_size: int, speech_size: int) -> "Vocabulary":
        """Specials, then text, image and speech codes, each contiguous.

        Args:
            text_size: codebook size of the text tokenizer.
            image_size: codebook size of the image tokenizer.
            speech_size: codebook size of the speech tokenizer.
        """
        specials = {name: i for i, name in enumerate(SPECIALS)}
        text = Span(16, 16 + text_size)  # the ids between the specials and 16 are free for later control ids
        image = Span(text.stop, text.stop + image_size)
        speech = Span(image.stop, image.stop + speech_size)
        return cls(speech.stop, text, image, speech, specials)

    @classmethod
    def ar_omni_7b(cls, size: int = 65536) -> "Vocabulary":
        """The published layout: Chameleon's ids, with speech on ids that Chameleon reserves.

        Args:
            size: number of ids; the published 65,536, or fewer for small models of the same layout.
        """
        specials = {"bos": 0, "pad": 1, "eos": 2, "eoi": 8196, "boi": 8197, "eoa": 12820, "boa": 12821}
        specials |= {"eoh": 12830, "eom": 12831, "ins": 12840, "res": 12841}
        return cls(size, Span(16388, size), Span(4, 8196), Span(8724, 12820), specials)
