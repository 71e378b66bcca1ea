"""How nano learns to see: by names, words and artists, and from what is alike."""

import copy

import torch

from ar_omni.tokenizers.semantic import SemanticConfig, SemanticEncoder
from ar_omni.training.semantic import SemanticTrainer, by_artist, contrastive_loss, pairs, word_table
from ar_omni.training.tokenizer_loop import Budget, fit
from ar_omni.training.world.pictures import Concept

CONCEPTS = [
    Concept(name, "1F34E", group, tags, "is a thing", number)
    for number, (name, group, tags) in enumerate(
        [("woman cook", "people", ("food",)), ("man cook", "people", ()), ("red apple", "food", ("fruit",))]
    )
]
CONFIG = SemanticConfig(image_size=24, widths=(8, 16, 16), codes=6)


def test_words_that_several_things_have_are_counted():
    table = word_table(CONCEPTS)
    assert table.tolist() == [[1, 1, 1], [1, 0, 1], [0, 1, 0]]  # cook, food, people


def test_pictures_of_a_thing_come_in_twos_and_with_its_neighbours():
    torch.manual_seed(0)
    things = torch.arange(40).repeat_interleave(torch.randint(2, 8, (40,)))
    for _ in range(20):
        places = pairs(things, 32)
        first, second = places.view(-1, 2).unbind(1)
        assert len(places) == 32 and (first != second).all() and (things[first] == things[second]).all()
        runs = things[first].view(-1, 4)
        assert ((runs - runs[:, :1]) % 40 == torch.arange(4)).all()
    drawn = torch.cat([pairs(things, 32) for _ in range(200)])
    assert len(drawn.unique()) == len(things)


def test_artists_with_much_to_show_come_no_more_often():
    torch.manual_seed(0)
    artists = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    drawn = torch.bincount(artists[by_artist(artists, 5000, known=2)]) / 5000
    torch.testing.assert_close(drawn, torch.tensor([3.0, 3, 1]) / 7, atol=0.03, rtol=0)


def test_the_loss_is_least_where_the_same_lie_together():
    things = torch.tensor([0, 1, 0, 1])
    together = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    apart = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert contrastive_loss(together, things) < 0.01 < 5 < contrastive_loss(apart, things)
    assert contrastive_loss(together, torch.tensor([0, 1, 0, 2])) < 0.01  # one is alone


def test_it_learns_what_it_is_shown_and_who_drew_it(tmp_path):
    torch.manual_seed(0)
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    shades = torch.tensor([1.0, 0.4])
    trainer = SemanticTrainer(SemanticEncoder(CONFIG), word_table(CONCEPTS), artists=2)

    def pictures():
        things, artists = torch.arange(3).repeat(8), torch.arange(2).repeat_interleave(12)
        flat = colours[things] * shades[artists, None]
        return (flat[..., None, None] + 0.1 * torch.randn(24, 3, 24, 24)), things, artists

    def losses(_):
        pixels, things, _ = pictures()
        other, _, drawn = (part.flip(0) for part in pictures())  # who drew is learned from other pictures
        return trainer.losses(pixels, other, things, drawn)

    fit(trainer, losses, Budget(60, 3e-3, warmup=5), tmp_path / "state.pt")
    with torch.no_grad():
        pixels, things, artists = pictures()
        named, drawn = trainer.told(pixels)
    assert (named == things).all() and (drawn == artists).all()
    encoder = trainer.eval().remembering(pictures() for _ in range(4))
    with torch.no_grad():
        codes = encoder.encode(pixels)
    assert (encoder.config.things, encoder.config.artists) == (3, 2)
    assert torch.equal(encoder.artists.keys, trainer.artist.keys)
    assert len({tuple(row.tolist()) for row in codes}) == 6  # one for each thing by each artist
    assert all(len(codes[things == thing][:, :4].unique(dim=0)) == 1 for thing in range(3))


def test_an_encoder_that_learns_more_keeps_the_codes_of_what_it_remembers():
    torch.manual_seed(0)
    pixels, things, artists = torch.randn(6, 3, 24, 24), torch.arange(3).repeat(2), torch.arange(2).repeat(3)
    words = word_table(CONCEPTS)
    first = SemanticTrainer(SemanticEncoder(CONFIG), words, artists=2).remembering(
        [(pixels, things, artists)]
    )
    other = copy.deepcopy(first)
    with torch.no_grad():
        for value in other.content.parameters():
            value.add_(0.2 * torch.randn_like(value))
    second = SemanticTrainer(other, words, artists=3).remembering([(pixels, things, artists)])
    for before, after in ((first.things, second.things), (first.artists, second.artists)):
        assert torch.equal(after.kept[: len(before.kept)], before.kept)
    assert torch.equal(first.things.kept, first.things.keys)
    assert not torch.allclose(second.things.keys, first.things.keys, atol=0.1)
    torch.testing.assert_close(second.artists.keys[:2], first.artists.keys)
    recalled, same = (encoder.things(encoder.things.keys) for encoder in (first, second))
    torch.testing.assert_close(recalled, same, atol=0.2, rtol=0)
