"""Training of the codes of what a picture shows: from them alone its name and its artist have to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.tokenizers.semantic import SemanticEncoder
from ar_omni.training.world.pictures import Concept


class Namer(nn.Module):
    """Hidden states (B, width) -> logits of the things (B, things).

    The vector of a thing is the sum of its own and of those of its words: what tells a woman from a man is
    learned from all of them.

    Args:
        words: which words each thing has, float (things, words).
        width: of the vectors.
    """

    def __init__(self, words: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("words", words / words.sum(1, keepdim=True).clamp(min=1).sqrt())
        self.word = nn.Parameter(0.05 * torch.randn(words.shape[1], width))
        self.own = nn.Parameter(0.02 * torch.randn(len(words), width))
        self.bias = nn.Parameter(torch.zeros(len(words)))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.words @ self.word + self.own).T + self.bias


class CosineClassifier(nn.Module):
    """Numbers (B, numbers) -> logits (B, classes), by their angles to keys, as a memory tells what is alike.

    Args:
        numbers: how many.
        classes: how many.
        scale: of the cosines.
    """

    def __init__(self, numbers: int, classes: int, scale: float = 12.0) -> None:
        super().__init__()
        self.keys, self.scale = nn.Parameter(torch.randn(classes, numbers)), scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * functional.normalize(x, dim=1) @ functional.normalize(self.keys, dim=1).T


class SemanticTrainer(nn.Module):
    """The encoder, and a classifier each of what a picture shows and of who drew it.

    Args:
        encoder: new, or one that learns more.
        words: which words each thing has, float (things, words).
        artists: how many artists.
        width: of the classifier's hidden layer.
    """

    def __init__(self, encoder: SemanticEncoder, words: Tensor, artists: int, width: int = 512) -> None:
        super().__init__()
        config = encoder.config
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.namer = nn.Sequential(nn.Linear(config.content_numbers, width), nn.ReLU(), Namer(words, width))
        self.artist = CosineClassifier(config.style_numbers, artists)
        with torch.no_grad():
            self.artist.keys[: len(encoder.artists.keys)] = encoder.artists.keys

    def losses(self, changed: Tensor, plainer: Tensor, things: Tensor, artists: Tensor) -> dict[str, Tensor]:
        """Weighted terms for pixels (B, 3, S, S) in [-1, 1]: of pictures of known things (B,), `changed` to
        tell what they show, and of pictures by known artists (B,), `plainer`, for changed colours hide who
        drew them."""
        content = self._rounded(self.encoder.content(changed))
        return {
            "thing": functional.cross_entropy(self.namer(content).float(), things, label_smoothing=0.1),
            "alike": contrastive_loss(content.float(), things),
            "artist": functional.cross_entropy(self._drawn(plainer), artists, label_smoothing=0.02),
        }

    def told(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest thing and artist of each picture, int64 (B,) each."""
        content = self._rounded(self.encoder.content(pixels))
        return self.namer(content).argmax(1), self._drawn(pixels).argmax(1)

    def _drawn(self, pixels: Tensor) -> Tensor:
        """Logits of who drew them, by numbers as the memory gets them: not rounded."""
        return self.artist(self.encoder.bounded(self.encoder.style(pixels))).float()

    def _rounded(self, numbers: Tensor) -> Tensor:
        """As the codes keep them, about 0; gradients pass the rounding."""
        numbers, reach = self.encoder.bounded(numbers), self.encoder.reach
        return numbers + ((numbers + reach).round() - reach - numbers).detach()

    @torch.no_grad()
    def remembering(self, pictures: Iterable[tuple[Tensor, Tensor, Tensor]]) -> SemanticEncoder:
        """The encoder with a memory: a thing's key is the average of its pictures, and an artist's what the
        classifier learned. What is recalled of either is the average of its pictures, or what it was where
        the encoder has it in its memory.

        Args:
            pictures: pixels (B, 3, S, S), their things (B,) and artists (B,).
        """
        things, artists = self.namer[-1].words.shape[0], len(self.artist.keys)
        encoder = SemanticEncoder(replace(self.encoder.config, things=things, artists=artists)).eval()
        encoder.load_state_dict(self.encoder.float().eval().state_dict() | _memories(encoder))
        counts = torch.zeros(things, 1), torch.zeros(artists, 1)
        for pixels, *labels in pictures:
            parts = (encoder.content, encoder.things), (encoder.style, encoder.artists)
            for (part, memory), label, count in zip(parts, labels, counts, strict=True):
                memory.keys.index_add_(0, label, encoder.bounded(part(pixels)))
                count.index_add_(0, label, torch.ones(len(label), 1))
        earlier = self.encoder.things, self.encoder.artists
        for memory, count, own in zip((encoder.things, encoder.artists), counts, earlier, strict=True):
            memory.keys /= count.clamp(min=1)
            memory.kept.copy_(torch.cat([own.kept, memory.keys[len(own.kept) :]]))
        encoder.artists.keys.copy_(self.artist.keys)
        return encoder


def _memories(encoder: SemanticEncoder) -> dict[str, Tensor]:
    return {name: value for name, value in encoder.state_dict().items() if name.endswith((".keys", ".kept"))}


def contrastive_loss(numbers: Tensor, things: Tensor, temperature: float = 0.1) -> Tensor:
    """Pictures of the same thing lie nearer to one another than to others, whoever drew them: the supervised
    contrastive loss (Khosla et al., arXiv 2004.11362) of numbers (B, numbers) of things (B,)."""
    unit = functional.normalize(numbers, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool)
    chances = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    same = (things[:, None] == things) & ~itself
    paired = same.sum(1) > 0
    return -(chances.masked_fill(~same, 0).sum(1)[paired] / same.sum(1)[paired]).mean()


def pairs(things: Tensor, count: int, neighbours: int = 4) -> Tensor:
    """Places of `count` pictures: two each of things that follow one another in runs of `neighbours`, which
    are alike.

    Args:
        things: what each picture shows, int64 (N,), in ascending order.
        count: how many places.
        neighbours: length of a run.
    """
    sizes = torch.bincount(things)
    starts = sizes.cumsum(0) - sizes
    run = torch.arange(neighbours)
    chosen = (torch.randint(len(sizes), (-(-count // (2 * neighbours)), 1)) + run).flatten() % len(sizes)
    first = (torch.rand(len(chosen)) * sizes[chosen]).long()
    step = 1 + (torch.rand(len(chosen)) * (sizes[chosen] - 1)).long()
    second = (first + step) % sizes[chosen]
    return (starts[chosen] + torch.stack([first, second])).T.flatten()[:count]


def by_artist(artists: Tensor, count: int, known: int) -> Tensor:
    """Places of `count` pictures: each artist as often as another, the first `known`, whose styles have a
    name, three times as often.

    Args:
        artists: who drew each picture, int64 (N,).
        count: how many places.
        known: how many artists have a style with a name.
    """
    drawn = torch.bincount(artists)
    often = torch.where(torch.arange(len(drawn)) < known, 3.0, 1.0) / drawn.clamp(min=1)
    return torch.multinomial(often[artists], count, replacement=True)


def word_table(concepts: Sequence[Concept]) -> Tensor:
    """Which words each thing has in its name, search words and group: float (things, words), words of several
    things alone."""
    spoken = [
        {word for text in (concept.name, *concept.tags, concept.group) for word in text.split()}
        for concept in concepts
    ]
    counts = Counter(word for words in spoken for word in words)
    places = {word: place for place, word in enumerate(sorted(w for w, count in counts.items() if count > 1))}
    table = torch.zeros(len(concepts), len(places))
    for row, words in zip(table, spoken, strict=True):
        row[[places[word] for word in words if word in places]] = 1.0
    return table
