"""Pictures as they may be shown: what changes, and what stays."""

import pytest
import torch

from ar_omni.training.augmentation import GENTLE, plain, shown


@pytest.fixture
def discs() -> torch.Tensor:
    """Red discs on nothing, uint8 RGBA (B, 48, 48, 4)."""
    places = torch.linspace(-1, 1, 48)
    inside = places[:, None].square() + places.square() < 0.5
    disc = inside[..., None] * torch.tensor([255, 0, 0, 255])
    return disc.to(torch.uint8).expand(64, -1, -1, -1)


def test_a_plain_picture_lies_on_white(discs):
    pictures = plain(discs, 24)
    assert pictures.shape == (64, 3, 24, 24)
    torch.testing.assert_close(pictures[0, :, 12, 12], torch.tensor([1.0, -1, -1]))
    torch.testing.assert_close(pictures[0, :, 0, 0], torch.ones(3))


def test_what_is_shown_differs_each_time_and_keeps_its_subject(discs):
    torch.manual_seed(0)
    pictures = shown(discs, 32)
    assert pictures.shape == (64, 3, 32, 32) and pictures.abs().max() <= 1
    assert len({picture.numpy().tobytes() for picture in pictures}) == 64
    redness = pictures[:, 0] - pictures[:, 1:].amax(1)
    assert ((redness > 0.3).float().mean((1, 2)) > 0.05).float().mean() > 0.9


def test_gentle_changes_hide_and_tint_nothing(discs):
    torch.manual_seed(0)
    gently, strongly = (shown(discs, 32, *changes)[:, :, 16, 16] for changes in ((GENTLE,), ()))
    tints = [(middle[:, 1] - middle[:, 2]).abs().amax() for middle in (gently, strongly)]
    assert tints[0] < 1e-5 < 0.1 < tints[1]
    assert (gently[:, 0] > gently[:, 1] + 0.5).all()  # red each time


def test_a_seed_gives_the_same_and_the_cutouts_stay(discs):
    before, pictures = discs.clone(), []
    for _ in range(2):
        torch.manual_seed(1)
        pictures.append(shown(discs, 32))
    assert torch.equal(*pictures) and torch.equal(before, discs)
