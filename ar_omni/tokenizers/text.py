"""Text <-> codes: SentencePiece models, and byte-level `tokenizer.json` files of Hugging Face `tokenizers`.

Control ids (begin of image, end of turn, ...) are not text codes, and neither class ever encodes the spelling
of one as anything but its letters: user text cannot become a control id.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import replacing

_SPACE = "\u2581"
"""How SentencePiece writes a space."""


class ByteDetokenizer:
    """Turns codes into text one at a time; the bytes of an unfinished character wait for the rest of it.

    Args:
        pieces: the UTF-8 bytes of each code.
        skip_first_space: drop the one space that the tokenizer puts before every text.
    """

    def __init__(self, pieces: Sequence[bytes], skip_first_space: bool = False) -> None:
        self._pieces = pieces
        self._skip_space = skip_first_space
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, code: int) -> str:
        """The text that `code` completes; may be empty."""
        piece = self._pieces[code]
        if self._skip_space and piece:
            self._skip_space = False
            piece = piece.removeprefix(b" ")
        return self._decoder.decode(piece)

    def flush(self) -> str:
        """A replacement character if the text ended inside a character, else nothing."""
        return self._decoder.decode(b"", final=True)


class SentencePieceTokenizer:
    """A SentencePiece model; its piece numbers are the codes."""

    def __init__(self, model: bytes) -> None:
        import sentencepiece

        self._model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.codebook_size: int = self._processor.get_piece_size()
        self._pieces = [_sentencepiece_bytes(self._processor, code) for code in range(self.codebook_size)]
        first = self._processor.encode("a", out_type=str)
        self._has_space_prefix = bool(first) and first[0].startswith(_SPACE)

    @classmethod
    def load(cls, folder: str | PathLike) -> SentencePieceTokenizer:
        """Read `tokenizer.model` in `folder`."""
        path = Path(folder) / "tokenizer.model"
        try:
            return cls(path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"expected a SentencePiece model in {path}, got {error}") from error

    @classmethod
    def train(
        cls, sentences: Iterable[str], vocab_size: int | None = None, character_coverage: float = 0.9999
    ) -> SentencePieceTokenizer:
        """Learn a case-folding tokenizer with byte fallback, so that any text has codes.

        Args:
            sentences: training text, read once.
            vocab_size: None gives one piece for each character (the easiest for aligning with speech); a
                number gives byte-pair merges up to that many pieces (the 256 bytes included).
            character_coverage: the share of the characters that get a piece; rarer ones are spelt in bytes.
        """
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                model_type="char" if vocab_size is None else "bpe",
                vocab_size=vocab_size or 65536,
                character_coverage=character_coverage,
                normalization_rule_name="nmt_nfkc_cf",
                byte_fallback=True,
                add_dummy_prefix=False,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise InputError(f"expected sentences and a vocab_size that fits them, got {error}") from error
        return cls(model.getvalue())

    def encode(self, text: str) -> list[int]:
        """Codes of `text`, normalised as the model was trained (nano folds case)."""
        return self._processor.encode(text)

    def decode(self, codes: Sequence[int]) -> str:
        """Text of `codes`: what the detokenizer gives for them one by one."""
        return _decode(self.detokenizer(), codes)

    def detokenizer(self) -> ByteDetokenizer:
        """A new incremental decoder."""
        return ByteDetokenizer(self._pieces, self._has_space_prefix)

    def save(self, folder: str | PathLike) -> None:
        """Write `tokenizer.model` and `config.json` into `folder`."""
        _write(folder, "tokenizer.model", self._model)
        _write_config(folder, {"type": "sentencepiece"})


class HFTokenizer:
    """A byte-level `tokenizer.json`; code = its token number - `first_id`.

    Chameleon numbers its control, picture and reserved tokens first and its text pieces from 16388, so
    its `first_id` is 16388. Added tokens below it are not matched: their spellings encode as letters.
    """

    def __init__(self, specification: str, first_id: int = 0) -> None:
        import tokenizers

        table = json.loads(specification)
        if (table.get("pre_tokenizer") or {}).get("type") != "ByteLevel":
            raise CheckpointError(
                'expected a tokenizer.json with a "ByteLevel" pre-tokenizer, got another kind'
            )
        table["added_tokens"] = [token for token in table["added_tokens"] if token["id"] >= first_id]
        table["post_processor"] = None
        self._specification = specification
        self.first_id = first_id
        self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(table))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        pieces = {i: piece for piece, i in self._tokenizer.get_vocab(with_added_tokens=True).items()}
        self.codebook_size: int = max(pieces) + 1 - first_id
        letters = _byte_level_alphabet()
        self._pieces = [
            _byte_level_bytes(pieces.get(first_id + code, ""), letters) for code in range(self.codebook_size)
        ]

    @classmethod
    def load(cls, folder: str | PathLike) -> HFTokenizer:
        """Read `tokenizer.json` and the `first_id` of `config.json` in `folder`."""
        folder = Path(folder)
        try:
            first_id = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("first_id", 0)
            return cls((folder / "tokenizer.json").read_text(encoding="utf-8"), first_id)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"expected a tokenizer.json in {folder}, got {error}") from error

    def encode(self, text: str) -> list[int]:
        """Codes of `text`; pieces outside the text range cannot occur."""
        return [i - self.first_id for i in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def decode(self, codes: Sequence[int]) -> str:
        """Text of `codes`: what the detokenizer gives for them one by one."""
        return _decode(self.detokenizer(), codes)

    def detokenizer(self) -> ByteDetokenizer:
        """A new incremental decoder."""
        return ByteDetokenizer(self._pieces)

    def save(self, folder: str | PathLike) -> None:
        """Write `tokenizer.json` (as it was read) and `config.json` into `folder`."""
        _write(folder, "tokenizer.json", self._specification.encode("utf-8"))
        _write_config(folder, {"type": "hf_tokenizer", "first_id": self.first_id})


def _decode(detokenizer: ByteDetokenizer, codes: Sequence[int]) -> str:
    return "".join(detokenizer.push(int(code)) for code in codes) + detokenizer.flush()


def _sentencepiece_bytes(processor, code: int) -> bytes:
    """Bytes of one piece; none for unknown and control pieces."""
    piece = processor.id_to_piece(code)
    if processor.is_byte(code):
        return bytes([int(piece[1:-1], 16)])
    if processor.is_unknown(code) or processor.is_control(code):
        return b""
    return piece.replace(_SPACE, " ").encode("utf-8")


def _byte_level_alphabet() -> dict[str, int]:
    """Character -> byte in byte-level BPE: printable Latin-1 is itself, the other bytes count from 256."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


def _byte_level_bytes(piece: str, letters: dict[str, int]) -> bytes:
    if all(letter in letters for letter in piece):
        return bytes(letters[letter] for letter in piece)
    return piece.encode("utf-8")  # an added token is written as it is


def _write(folder: str | PathLike, name: str, data: bytes) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    with replacing(Path(folder) / name) as temporary:
        temporary.write_bytes(data)


def _write_config(folder: str | PathLike, config: dict) -> None:
    _write(folder, "config.json", (json.dumps(config, indent=2) + "\n").encode("utf-8"))
