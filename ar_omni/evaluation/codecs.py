"""What the two codecs lose: words and the naturalness of speech, and the looks of pictures."""

from __future__ import annotations

import numpy as np

from ar_omni.evaluation.bench import Bench, Result, Row, column
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.judges import nearest, psnr, word_errors


def codec(bench: Bench) -> Result:
    """Encodes and decodes recordings and pictures, and judges them before and after."""
    speech_figures, speech_rows = _speech(bench)
    picture_figures, picture_rows = _pictures(bench)
    return {**speech_figures, **picture_figures}, speech_rows + picture_rows


def _speech(bench: Bench) -> Result:
    speech = bench.omni.processor.speech_tokenizer
    rows: list[Row] = []
    used = set()
    for text in bench.each(bench.held_out.sentences, "codec: speech"):
        audio = bench.read(text)
        codes = speech.encode(audio)
        again = speech.decode(codes)
        used.update(np.asarray(codes).tolist())
        before, words = word_errors(text, bench.hear(audio))
        after, _ = word_errors(text, bench.hear(again))
        row = {"text": text, "words": words, "original_errors": before, "errors": after}
        row |= {"original_quality": bench.rate(audio), "quality": bench.rate(again)}
        rows.append(row | bench.keep("codec", len(rows), original=audio, audio=again))
    for text in bench.each(bench.held_out.long_sentences, "codec: codes in use"):
        used.update(np.asarray(speech.encode(bench.read(text))).tolist())
    words = column(rows, "words")
    lost_words = [row["errors"] - row["original_errors"] for row in rows]
    lost_quality = [row["original_quality"] - row["quality"] for row in rows]
    return {
        "WER of the original speech": ratio(column(rows, "original_errors"), words),
        "WER after the speech codec": ratio(column(rows, "errors"), words),
        "WER lost in the speech codec": ratio(lost_words, words),
        "speech codes in use": _share(len(used), speech.codebook_size),
        "naturalness of the original speech": ratio(
            column(rows, "original_quality"), unit="MOS", better="higher"
        ),
        "naturalness after the speech codec": ratio(column(rows, "quality"), unit="MOS", better="higher"),
        "naturalness lost in the speech codec": ratio(lost_quality, unit="MOS"),
    }, rows


def _pictures(bench: Bench) -> Result:
    tokenizer = bench.omni.processor.image_tokenizer
    rows: list[Row] = []
    used = set()
    for (name, style), picture in bench.each(list(bench.held_out.pictures.items()), "codec: pictures"):
        codes = tokenizer.encode(picture)
        again = tokenizer.decode(codes)
        used.update(np.asarray(codes).flatten().tolist())
        right = nearest(again, bench.held_out.gallery) == (name, style)
        row = {"name": name, "style": style, "psnr": psnr(again, picture), "right": right}
        rows.append(row | bench.keep("codec", len(rows), reference=picture, image=again))
    return {
        "picture codes in use": _share(len(used), tokenizer.codebook_size),
        "pictures nearest to themselves": ratio(column(rows, "right"), better="higher"),
        "PSNR of pictures": ratio(column(rows, "psnr"), unit="dB", better="higher"),
    }, rows


def _share(used: int, codes: int) -> Figure:
    return ratio([used], [codes], better="higher")
