"""A trained image tokenizer whose decoder learns on: it draws better, and its codes stay what they are."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ar_omni.tokenizers.image import ImageAutoencoder, ImageTokenizerConfig, NanoImageTokenizer

SCRIPT = Path(__file__).parents[2] / "train" / "image_tokenizer.py"
CONFIG = ImageTokenizerConfig(codebook_size=32, code_dim=8, fine_width=8, coarse_width=16)


def test_it_draws_better_and_its_codes_stay(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    network = ImageAutoencoder(CONFIG)
    network.quantizer.codebook.normal_()
    NanoImageTokenizer(CONFIG, network).save(tmp_path / "image_tokenizer")
    shades = np.linspace(0, 255, 12, dtype=np.uint8).reshape(4, 3, 1, 1, 1)
    pictures = np.broadcast_to(shades, (4, 3, 96, 96, 3)).copy()
    np.savez(tmp_path / "pictures-96.npz", pictures=pictures)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    before = NanoImageTokenizer.load(tmp_path / "image_tokenizer").encode(noise)
    quality = runpy.run_path(str(SCRIPT))["quality"]
    first = quality(network, torch.from_numpy(pictures).flatten(0, 1).permute(0, 3, 1, 2))

    command = [SCRIPT, "--work-dir", tmp_path, "--steps", 150, "--batch-size", 4]
    command += ["--decoder", tmp_path / "image_tokenizer"]
    monkeypatch.setattr(sys, "argv", [*map(str, command)])
    runpy.run_path(str(SCRIPT), run_name="__main__")

    last = json.loads(capsys.readouterr().out)
    assert last["psnr"] > first["psnr"] + 2 and last["codes_in_use"] == first["codes_in_use"]
    assert np.array_equal(NanoImageTokenizer.load(tmp_path / "image_tokenizer").encode(noise), before)
