"""What people say who know no templates: other words for the same, and what nano cannot answer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from .phrases import EXPLAIN, REQUESTS, asked_for, read_lines, small_talk, strangers
from .pictures import Concept, is_plural, with_article
from .sentences import grammar, is_held_out, remark, statement

MORE_REQUESTS = (
    "{asking} {thing}",
    "{asking} {thing}",
    "{asking} {picture} of {thing}",
    "{picture} of {thing}",
    "what {does} {thing} look like?",
    "do you have {picture} of {thing}?",
    "{thing}",
)
PICTURES = ("a picture", "a drawing", "an image", "a photo", "pictures")
MORE_EXPLAIN = (
    "what {verb} {thing}",
    "do you know what {thing} {verb}?",
    "tell me what {thing} {verb}",
    "can you tell me what {thing} {verb}?",
    "could you explain what {thing} {verb}?",
    "explain to me what {thing} {verb}",
    "i want to know what {thing} {verb}",
    "what exactly {verb} {thing}?",
    "so what {verb} {thing}?",
    "what can you tell me about {thing}?",
    "what do you know about {thing}?",
    "tell me something about {thing}",
    "tell me more about {thing}",
    "can you explain {thing}?",
    "can you tell me about {thing}?",
    "i want to know about {thing}",
    "please explain {thing}",
    "do you know {thing}?",
    "describe {thing}",
    "define {thing}",
)
MORE_SAY = (
    "say '{line}'",
    "say: {line}",
    "please say '{line}'",
    "please say {line}",
    "can you say '{line}'?",
    "could you say {line}",
    "read '{line}'",
    "read out loud: {line}",
    "read this: {line}",
    "i want you to say {line}",
    "speak: {line}",
    "now say {line}",
    "can you say {line}?",
    "repeat after me, {line}",
)
GREETINGS = (
    "hi, ",
    "hi ",
    "hello, ",
    "hello nano, ",
    "hey, ",
    "hey ",
    "hey nano, ",
    "nano, ",
    "okay, ",
    "ok, ",
    "now ",
    "and now ",
    "so, ",
    "well, ",
    "next, ",
    "hi there, ",
    "good morning, ",
)
ENDINGS = (
    " please",
    ", please",
    " pls",
    " for me",
    " now",
    "!",
    ".",
    " thanks",
    ", thank you",
    " if you can",
    "...",
)
SHORTER = {"what is": "what's", "i am": "i'm", "do not": "don't", "it is": "it's", "you are": "you're"}
QUALITIES = (
    "blue green purple pink golden silver tiny huge giant flying dancing sleeping broken wooden striped "
    "invisible square frozen angry dirty two-headed upside-down"
).split()
NOUNS = (
    "color price name size age weight history meaning taste sound speed height shape song film book team "
    "game car food job school road house language"
).split()
NAMES = (
    "anna tom peter mary john lisa paul emma jack susan albert einstein mozart shakespeare cleopatra".split()
)
_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl sm sn sp st str t th tr v w z"
).split()
_VOWELS = "a a e e i i o o u ai ea ee oa oo ou".split()
_CODAS = ["", "", *"b ck d g l ll m n nd ng nk nt p r rd rk sh sk ss st t th x".split()]
PLACES = (
    "france germany japan china india spain italy peru egypt kenya canada mexico brazil australia russia "
    "london paris berlin rome tokyo madrid cairo boston texas africa europe asia"
).split()


def rephrased(said: str, rng: random.Random) -> str:
    """The same request or question in other words; what is neither, shorter."""
    for templates, others in ((REQUESTS, MORE_REQUESTS), (EXPLAIN, MORE_EXPLAIN)):
        for template in templates:
            if found := re.fullmatch(_pattern(template), said):
                other = said if rng.random() < 0.2 else _other(others, **found.groupdict(), rng=rng)
                return _polite(other, rng)
    return shortened(said, rng)


def shortened(said: str, rng: random.Random) -> str:
    """The same with fewer letters, and perhaps without its question mark."""
    for whole, short in SHORTER.items():
        if rng.random() < 0.7:
            said = said.replace(whole, short)
    return said.rstrip("?") if rng.random() < 0.5 else said


@cache
def _pattern(template: str) -> str:
    return re.escape(template).replace(r"\{thing\}", "(?P<thing>.+)").replace(r"\{verb\}", "(?P<verb>is|are)")


def _other(templates: Sequence[str], rng: random.Random, thing: str, verb: str = "") -> str:
    if styled := re.fullmatch("((?:an? |the )?)(.+) in (.+) style", thing):
        article, name, style = styled.groups()
        thing = rng.choice((thing, f"{article}{name} in {style}", f"{article and 'a '}{style} {name}"))
    bare = re.sub("^(an?|the) ", "", thing)
    if rng.random() < 0.15:
        thing = bare
    verb = verb or ("are" if is_plural(bare) else "is")
    if templates is MORE_REQUESTS:
        asking, picture = rng.choice(read_lines("asking.txt")), rng.choice(PICTURES)
        does = "do" if verb == "are" else "does"
        return rng.choice(templates).format(asking=asking, picture=picture, does=does, thing=thing)
    if verb == "is" and rng.random() < 0.25:
        return rng.choice(("what's {}?", "what's {}", "whats {}?")).format(thing)
    if thing != bare and thing.startswith("a") and rng.random() < 0.15:
        thing, verb = f"{bare}s", "are"
    return rng.choice((*templates, *EXPLAIN)).format(thing=thing, verb=verb)


def _polite(said: str, rng: random.Random) -> str:
    """With a greeting before it, or thanks after it, or without its question mark."""
    if rng.random() < 0.2:
        said = rng.choice(GREETINGS) + said
    chance = rng.random()
    if said.endswith("?"):
        return said.rstrip("?") if chance < 0.3 else said
    return said + rng.choice(ENDINGS) if chance < 0.25 else said


def wonder(concepts: Sequence[Concept], rng: random.Random) -> str:
    """A request or a question, in any words, that nano can only be sorry about."""
    template = rng.choice(read_lines("wonder.txt"))
    filled = {name: make(concepts, rng) for name, make in _FILLERS.items() if f"{{{name}}}" in template}
    said = template.format_map(filled)
    return said if rng.random() < 0.5 else said.rstrip("?")


def about_a_stranger(rng: random.Random) -> str:
    """A request or a question about a thing that nano does not know: any of thousands, or one made up."""
    thing = _stranger(rng) if rng.random() < 0.8 else _made_up(rng)
    return asked_for(thing, rng) if rng.random() < 0.8 else rng.choice(EXPLAIN).format(thing=thing, verb="is")


def _stranger(rng: random.Random) -> str:
    nouns, pairs = strangers()
    return rng.choice(nouns if rng.random() < 0.65 else pairs)


def invented(rng: random.Random) -> str:
    """A word that means nothing, unlike those of `made_up` in that hardly two are the same: "sprailont"."""
    syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 2, 3))))
    return "".join(syllables) + rng.choice(_CODAS)


def _made_up(rng: random.Random) -> str:
    while is_held_out(word := invented(rng), share=0.05):
        pass
    return word


def aside(rng: random.Random) -> str:
    """An everyday sentence, which asks for nothing that nano could do; no greeting begins it."""
    while (said := remark(rng)).startswith(tuple(grammar()["greeting"])):
        pass
    return said.lower()


def _thing(concepts: Sequence[Concept], rng: random.Random) -> str:
    return with_article(_stranger(rng)) if rng.random() < 0.3 else rng.choice(concepts).phrase


def _unlike(concepts: Sequence[Concept], rng: random.Random) -> str:
    """A thing of a kind that there is no picture of: "a blue unicorn"."""
    known = {concept.name for concept in concepts}
    while (name := f"{rng.choice(QUALITIES)} {rng.choice(concepts).name}") in known:
        pass
    return with_article(name)


_FILLERS: Mapping[str, Callable[[Sequence[Concept], random.Random], str]] = {
    "thing": _thing,
    "other": _thing,
    "unlike": _unlike,
    "place": lambda concepts, rng: rng.choice(PLACES),
    "name": lambda concepts, rng: rng.choice(NAMES),
    "noun": lambda concepts, rng: _stranger(rng) if rng.random() < 0.5 else rng.choice(NOUNS),
    "quality": lambda concepts, rng: rng.choice(QUALITIES),
    "number": lambda concepts, rng: str(rng.randint(2, 99)),
}
"""What stands in braces in `wonder.txt` -> what makes it."""


def to_read(rng: random.Random) -> tuple[str, str]:
    """(what is said to have something read out, what is read out): a few words, or a sentence."""
    line = rng.choice(rng.choice(small_talk())[0]) if rng.random() < 0.3 else statement(rng).lower()
    words = line.rstrip(".?!").split()
    length = rng.choice((1, 2, 3, 4, 5, len(words)))
    first = rng.randrange(max(1, len(words) - length + 1))
    line = " ".join(words[first : first + length]).rstrip(",")
    return rng.choice(MORE_SAY).format(line=line), f"{line}."
