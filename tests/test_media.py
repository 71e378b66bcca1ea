"""Audio and picture files: what goes in comes out, limits are stated, and a failure leaves nothing behind."""

import io
import struct
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from ar_omni import media
from ar_omni.errors import InputError
from ar_omni.media import Audio, check_text, load_audio, load_image, save_image

RATE = 24_000


def tone(seconds: float = 0.5, rate: int = RATE, hertz: float = 440.0) -> Audio:
    time = np.arange(int(seconds * rate)) / rate
    return Audio(0.5 * np.sin(2 * np.pi * hertz * time), rate)


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.1), (".mp3", 0.1)]
)
def test_audio_survives_each_format(tmp_path, suffix, tolerance):
    path = tmp_path / f"tone{suffix}"
    tone().save(path)
    again = Audio.load(path)
    assert again.sample_rate == RATE
    n = min(len(again.samples), len(tone().samples))
    assert n >= len(tone().samples) - 100
    middle = slice(n // 4, 3 * n // 4)
    assert np.abs(again.samples[middle] - tone().samples[middle]).max() < tolerance


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_stereo_become_mono_at_the_asked_rate(tmp_path, rate, channels):
    path = tmp_path / "in.wav"
    soundfile.write(path, np.stack([tone(1.0, rate).samples] * channels, axis=1), rate)
    audio = Audio.load(path, sample_rate=RATE)
    assert audio.samples.shape == (RATE,)
    assert audio.samples.dtype == np.float32
    middle = slice(RATE // 4, 3 * RATE // 4)
    assert np.abs(audio.samples[middle] - tone(1.0).samples[middle]).max() < 0.01


def test_audio_reads_a_file_object_and_a_long_ogg_is_written(tmp_path):
    tone(50).save(tmp_path / "long.ogg")
    data = io.BytesIO((tmp_path / "long.ogg").read_bytes())
    assert Audio.load(data).duration == pytest.approx(50, abs=0.01)


def test_saved_samples_are_clipped_not_wrapped(tmp_path):
    Audio(np.array([2.0, -2.0, np.nan] * 100), RATE).save(tmp_path / "loud.wav")
    samples = Audio.load(tmp_path / "loud.wav").samples
    assert samples[0] == pytest.approx(1, abs=1e-3)
    assert samples[1] == pytest.approx(-1, abs=1e-3)
    assert samples[2] == 0


def test_audio_refuses_what_is_no_recording(tmp_path):
    (tmp_path / "text.wav").write_text("hello")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    soundfile.write(
        tmp_path / "long.wav", np.zeros(int(RATE * (media.MAX_AUDIO_SECONDS + 1)), np.float32), RATE
    )
    for name, words in {
        "none.wav": "does not exist",
        "text.wav": "cannot be read",
        "empty.wav": "empty",
        "long.wav": "at most 60 seconds",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            Audio.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="folder"):
        Audio.load(tmp_path)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(RATE), "silence"),
        (np.zeros(10), "seconds"),
        (np.full(RATE, np.nan), "NaN"),
        (np.ones(RATE * 61), "60 seconds"),
    ],
)
def test_a_model_listens_only_to_sound(samples, words):
    with pytest.raises(InputError, match=words):
        load_audio(Audio(samples, RATE))


def test_audio_must_be_mono():
    with pytest.raises(InputError, match="mono"):
        Audio(np.zeros((2, 5)), RATE)


@pytest.mark.parametrize("name", ["reply.xyz", "reply", "missing/reply.wav"])
def test_audio_is_not_written_to_a_bad_place(tmp_path, name):
    with pytest.raises(InputError, match=r"expected"):
        tone().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "keep.mp3"
    tone().save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="96000"):
        Audio(tone().samples, 96_000).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_image_round_trip_and_transparency_over_white(tmp_path):
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    red.save(tmp_path / "clear.png")
    assert load_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    palette.info["transparency"] = 0
    assert load_image(palette).getpixel((0, 0)) == (255, 255, 255)
    for suffix in media.IMAGE_FORMATS:
        save_image(Image.new("RGB", (8, 8), "blue"), tmp_path / f"out{suffix}")
        pixel = load_image(tmp_path / f"out{suffix}").getpixel((4, 4))
        assert np.abs(np.array(pixel) - (0, 0, 255)).max() < 6


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path):
    Image.fromarray(np.full((8, 8), 32_896, np.uint16)).save(tmp_path / "grey.png")
    assert load_image(tmp_path / "grey.png").getpixel((0, 0)) == (128, 128, 128)


def huge_png(width: int, height: int) -> bytes:
    """A png header that claims a size, with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 10_000), (8_001, 8_000)])
def test_a_huge_picture_is_refused_by_its_header(tmp_path, size):
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(*size))
    with pytest.raises(InputError, match="at most 64 million pixels"):
        load_image(path)


def test_broken_pictures_are_refused(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "PNG")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:2000])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.png", "text.png", "empty.png"):
        with pytest.raises(InputError, match="damaged"):
            load_image(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        load_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="path or a binary file"):
        load_image(12)


def test_text_limits():
    assert check_text("hello") == "hello"
    for text, words in [
        ("", "none"),
        (" \n", "none"),
        ("a" * 1_000_000, "1,000,000"),
        ("a\ud800", "surrogate"),
    ]:
        with pytest.raises(InputError, match=words):
            check_text(text)
    with pytest.raises(InputError, match="str"):
        check_text(b"hello")
