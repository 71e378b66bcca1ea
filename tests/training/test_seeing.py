"""The recipe of what nano sees: from cutouts to an image tokenizer that sees, and to views."""

import json
import runpy
import sys

import numpy as np
import torch
from PIL import Image

from ar_omni.tokenizers import load_tokenizer
from ar_omni.training.world.views import COPIES, Cutouts


def test_it_is_put_beside_the_image_tokenizer_and_sees_all_cutouts(
    tokenizers, tmp_path, pytestconfig, monkeypatch, capsys
):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 96, 96, 4), dtype=np.uint8)
    Cutouts(pixels, np.array([0, 0, 1, 1, 1, 2, 2]), np.array([0, 3, 1, 2, 5, 0, 2])).save(
        tmp_path / "cutouts-96.npz"
    )
    concept = {"hexcode": "0", "group": "objects", "tags": [], "gloss": "is a thing"}
    rows = [{"name": f"thing {index}"} | concept for index in range(3)]
    (tmp_path / "concepts.json").write_text(json.dumps(rows))
    tokenizers.image.save(tmp_path / "image_tokenizer")
    command = ["semantic_encoder.py", "--work-dir", tmp_path, "--steps", 2, "--batch-size", 8]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    runpy.run_path(str(pytestconfig.rootpath / "train/semantic_encoder.py"), run_name="__main__")
    assert set(json.loads(capsys.readouterr().out)) == {"thing", "artist"}
    image, cutouts = load_tokenizer(tmp_path / "image_tokenizer"), Cutouts.load(tmp_path / "cutouts-96.npz")
    assert (image.semantic.config.things, image.codes_per_shown_image) == (3, 16)
    picture = Image.new("RGB", (30, 20), "red")
    assert (image.decode(image.encode(picture)).size) == (tokenizers.image.image_size,) * 2
    recipe = runpy.run_path(str(pytestconfig.rootpath / "train/tokenize_world.py"))
    views = recipe["tokenized_views"](cutouts, image.semantic)
    assert views.codes.shape == (3, COPIES, 16)
    assert [sorted(set(row)) for row in views.artists.tolist()] == [[0, 3], [1, 2, 5], [0, 2]]
    monkeypatch.setattr(sys, "argv", [*map(str, command), "--init", str(tmp_path / "image_tokenizer")])
    runpy.run_path(str(pytestconfig.rootpath / "train/semantic_encoder.py"), run_name="__main__")
    more = load_tokenizer(tmp_path / "image_tokenizer").semantic
    assert torch.allclose(more.things.kept, image.semantic.things.kept, atol=0.02)
    assert not torch.allclose(more.things.keys, image.semantic.things.keys, atol=0.02)
    white = Image.new("RGBA", (96, 96), "white")
    white.alpha_composite(Image.fromarray(cutouts.pixels[2]))
    alike = image.encode_shown(white) == views.codes[1, 0]
    assert alike.mean() > 0.8
