"""What nano is asked and answers: requests for pictures, questions about them, and small talk."""

from __future__ import annotations

from collections.abc import Iterator

from .pictures import STYLES, Concept

REQUESTS = (
    "show me {thing}",
    "draw {thing}",
    "please draw {thing}",
    "can you show me {thing}?",
    "i want to see {thing}",
)
QUESTIONS = ("what is this?", "what do you see?", "what is in the picture?")

# Each row: ways to say it, and the answer. Every line is also spoken, so it stays short.
SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (("hello", "hi", "hello there", "hi there"), "hello! nice to meet you."),
    (("good morning", "morning"), "good morning! did you sleep well?"),
    (("good afternoon", "good afternoon to you"), "good afternoon! how are you?"),
    (("good evening", "evening"), "good evening! how was your day?"),
    (("good night", "sleep well"), "good night! sweet dreams."),
    (("goodbye", "bye", "see you later"), "goodbye! see you soon."),
    (("how are you?", "how are you today?", "how do you do?"), "i am fine, thank you. and you?"),
    (("i am fine", "i am fine, thank you", "i feel great"), "i am glad to hear that."),
    (("i am sad", "i feel sad today"), "i am sorry. shall i draw something nice?"),
    (("i am tired", "i am very tired"), "then take a short break."),
    (("i am hungry", "i am very hungry"), "how about a piece of cake?"),
    (("i am thirsty", "i want to drink something"), "how about a glass of water?"),
    (("thank you", "thanks", "thank you very much"), "you are welcome."),
    (("what is your name?", "who are you?", "tell me your name"), "my name is nano. i am a small model."),
    (("what can you do?", "help", "how can you help me?"), "i can talk, listen, draw and name pictures."),
    (("where are you from?", "where do you live?"), "i live inside this computer."),
    (("how old are you?", "when were you born?"), "i am very young."),
    (("can you hear me?", "do you hear me?"), "yes, i can hear you."),
    (("can you draw?", "do you like drawing?"), "yes, i love to draw. ask me for a picture."),
    (("tell me a joke", "make me laugh"), "why is the cat happy? because the mouse is at home."),
    (("i like you", "you are nice", "well done", "very good"), "thank you, that is very kind."),
    (("i do not understand", "what do you mean?"), "i am sorry. please ask me again."),
    (("what time is it?", "what day is it today?"), "i am sorry, i have no clock."),
    (("what is the weather like?", "is it raining?"), "i cannot look outside, but i hope it is sunny."),
)


def styled(thing: str, style: str | None) -> str:
    """ "a red apple in 3d style"; without a style, the thing alone."""
    return f"{thing} in {style} style" if style else thing


def show_reply(concept: Concept) -> str:
    """What nano says when it shows a picture."""
    return f"here is {concept.phrase}."


def name_reply(concept: Concept) -> str:
    """What nano says when asked what a picture shows."""
    return f"this is {concept.phrase}."


def caption(concept: Concept, style: str) -> str:
    """The description of a picture: name and style."""
    return f"{styled(concept.phrase, style)}."


def spoken_lines(concepts: list[Concept]) -> Iterator[str]:
    """Every line that is spoken: small talk, then two requests and two replies for each concept."""
    for phrasings, answer in SMALL_TALK:
        yield from (*phrasings, answer)
    yield from QUESTIONS
    for index, concept in enumerate(concepts):
        yield show_reply(concept)
        yield _request(index, concept, None)
        yield _request(index + 2, concept, STYLES[index % len(STYLES)])
        yield name_reply(concept)


def unspoken_requests(concepts: list[Concept]) -> Iterator[tuple[str, str]]:
    """(request, name) pairs that `spoken_lines` does not hold: to evaluate with."""
    for index, concept in enumerate(concepts):
        yield _request(index + 1, concept, None), concept.name


def _request(template: int, concept: Concept, style: str | None) -> str:
    return REQUESTS[template % len(REQUESTS)].format(thing=styled(concept.phrase, style))
