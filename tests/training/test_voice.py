"""A second voice: the decoder learns it, and what is heard and said stays coded as it was."""

import numpy as np
import pytest
import torch

from ar_omni.media import Audio
from ar_omni.omni import AROmni
from ar_omni.training.voice import VoiceTrainer, latents


def buzz(height: float) -> Audio:
    t = np.arange(24_000, dtype=np.float32) / 24_000
    return Audio(0.3 * np.sign(np.sin(2 * np.pi * height * t)), 24_000)


def test_what_is_said_is_coded_as_the_model_says_it(codec):
    own, new = (latents(codec, [buzz(height), buzz(1.1 * height)]) for height in (110, 210))
    moved = new + VoiceTrainer(codec, own, new).shift
    assert own.shape == (80, codec.encoder.config.code_dim)
    assert not torch.allclose(own.mean(0), new.mean(0), atol=0.01)
    assert torch.allclose(own.mean(0), moved.mean(0), atol=1e-4)


def test_only_the_decoder_learns(codec):
    own, new = latents(codec, [buzz(110)]), latents(codec, [buzz(210)])
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    trainer = VoiceTrainer(codec, own, new)
    samples = torch.from_numpy(buzz(210).samples)[None]
    optimizer = torch.optim.Adam(trainer.parameters(), 3e-3)
    found = []
    for _ in range(12):
        optimizer.zero_grad()
        found.append(trainer.losses(samples)["spectral"])
        found[-1].backward()
        optimizer.step()
    assert found[-1] < 0.9 * found[0]
    changed = [name for name, value in codec.state_dict().items() if (value != before[name]).any()]
    assert changed and all(name.startswith("decoder.") for name in changed)


def test_the_script_writes_a_model_that_hears_as_before_and_sounds_new(script, checkpoint, tmp_path):
    for number in range(3):
        buzz(200 + 20 * number).save(tmp_path / f"{number}.wav")
    options = ["--recordings", tmp_path / "*.wav", "--model", checkpoint, "--batch-size", 2, "--codes", 8]
    script("voice.py", *options, "--work-dir", tmp_path / "out", "--steps", 3)
    base, taught = AROmni.from_pretrained(checkpoint), AROmni.from_pretrained(tmp_path / "out/model")
    old, new = (omni.processor.speech_tokenizer for omni in (base, taught))
    codes = old.encode(buzz(210))
    assert (new.encode(buzz(210)) == codes).all()
    assert old.decode(codes) != new.decode(codes)
    assert (
        base.generate("hello", outputs=("text",), seed=1).text
        == taught.generate("hello", outputs=("text",), seed=1).text
    )


def test_the_same_recordings_go_on_and_others_begin_anew(script, checkpoint, tmp_path):
    for number, height in enumerate((110, 220)):
        buzz(height).save(tmp_path / f"{number}.wav")
    options = ["--model", checkpoint, "--work-dir", tmp_path, "--batch-size", 2, "--codes", 8]
    for recording, steps in ((0, 1), (0, 2), (1, 1)):
        script("voice.py", "--recordings", tmp_path / f"{recording}.wav", *options, "--steps", steps)
    reached = [torch.load(path, weights_only=True)["step"] for path in tmp_path.glob("voice-*.pt")]
    assert sorted(reached) == [1, 2]


def test_too_little_speech_is_one_line(script, checkpoint, tmp_path):
    with pytest.raises(SystemExit, match=r"^voice.py: expected 1 seconds of speech or more .* 0 recordings"):
        script("voice.py", "--recordings", tmp_path / "*.wav", "--model", checkpoint)
