"""The suites: fake models that are always right or always wrong show what is counted."""

from types import SimpleNamespace

import pytest

from ar_omni.errors import InputError
from ar_omni.evaluation.conversations import judge
from ar_omni.evaluation.suites import SUITES
from tests.evaluation.fakes import LONG, SCRIPTS, SENTENCES, Perfect, Wrong, answer, bench, figures, picture


def test_a_perfect_model_gets_perfect_figures(held_out):
    assert figures(Perfect(), "tts", held_out) == {
        "WER": 0,
        "WER of 20-word sentences": 0,
        "20-word sentences that end by themselves": 100,
        "first-chunk latency": 0.25,
        "real-time factor": 0.5,
    }
    assert figures(Perfect(), "asr", held_out) == {
        "WER, the same voice": 0,
        "WER, other synthetic voices": 0,
        "WER, slt": 0,
        "WER, awb": 0,
        "WER, a real person": 0,
    }
    for suite, count in (("draw", 4), ("describe", 9), ("chat", 5), ("limits", 3)):
        found = figures(Perfect(), suite, held_out)
        assert (set(found.values()), len(found)) == ({100}, count), suite
    assert list(figures(Perfect(), "spoken", held_out).values()) == [0, 100, 100, 0]
    codec = figures(Perfect(), "codec", held_out)
    assert codec["WER lost in the speech codec"] == 0
    assert codec["naturalness after the speech codec"] == 3
    assert codec["naturalness lost in the speech codec"] == 0
    assert codec["pictures nearest to themselves"] == 100
    letters = {letter for sentence in (*SENTENCES, *LONG) for letter in sentence}
    assert codec["speech codes in use"] == pytest.approx(100 * len(letters) / 256)
    assert codec["PSNR of pictures"] == 99


def test_a_wrong_model_gets_no_points(held_out):
    assert figures(Wrong(), "tts", held_out)["WER"] >= 100
    assert figures(Wrong(), "tts", held_out)["20-word sentences that end by themselves"] == 0
    assert set(figures(Wrong(), "asr", held_out).values()) == {100}
    assert figures(Wrong(), "draw", held_out)["right concept, never trained on"] == 0
    assert set(figures(Wrong(), "describe", held_out).values()) == {0}
    assert list(figures(Wrong(), "spoken", held_out).values()) == [100, 0, 0, 100]
    for suite in ("chat", "limits"):
        assert set(figures(Wrong(), suite, held_out).values()) == {0}


def test_an_unknown_word_may_be_heard_in_any_way(held_out):
    class Deaf(Perfect):
        def chat(self):
            talk = super().chat()

            def send(content, outputs, seed):
                reply = talk.send(content, outputs, seed)
                return answer(reply.text, reply.transcript and "that was some golf", reply.image)

            return SimpleNamespace(send=send)

    assert figures(Deaf(), "limits", held_out)["honest about unknown things"] == 100
    assert figures(Deaf(), "chat", held_out)["turns answered rightly"] == 50


def test_views_are_other_pictures_of_the_pairs_trained_on_and_the_same_each_time(held_out):
    def shown():
        pictures = []

        class Watched(Perfect):
            def describe(self, image):
                pictures.append(image)
                return super().describe(image)

        SUITES["describe"](bench(Watched(), held_out))
        return pictures

    seen = [pair for pair in held_out.pairs if pair.seen]
    views = shown()[len(held_out.pairs) :]
    assert len(views) == len(seen) > 0
    for pair, other in zip(seen, views, strict=True):
        own = held_out.pictures[pair.name, pair.style]
        assert other.size == own.size and other.tobytes() != own.tobytes()
    assert [image.tobytes() for image in views] == [
        image.tobytes() for image in shown()[len(held_out.pairs) :]
    ]


@pytest.mark.parametrize(
    ("turn", "reply", "broken"),
    [
        (SCRIPTS[0][0], {"text": "here is a pair"}, "text"),
        (SCRIPTS[0][0], {"transcript": "show a fair"}, "heard"),
        (SCRIPTS[0][0], {"image": picture("sea", "3d")}, "picture"),
        (SCRIPTS[0][0], {"image": None}, "picture"),
        (SCRIPTS[0][0], {"transcript": "show me a fair", "image": picture("pear", "3d")}, None),
        (SCRIPTS[0][1], {"image": picture("pear", "flat")}, "picture"),
        (SCRIPTS[1][0], {"image": picture("sea", "flat")}, "picture"),
        (SCRIPTS[1][1], {"text": "the sea is a wide body of salt water with big waves"}, None),
        (SCRIPTS[1][1], {"text": "the sea is a very wide body of salt"}, "text"),
        (SCRIPTS[1][1], {"text": "waves with water salt of body wide very a is sea the"}, "text"),
    ],
)
def test_each_rule_judges_a_turn_by_itself(held_out, turn, reply, broken):
    drawn = turn.drawn and picture(turn.drawn[0], turn.drawn[1] or "flat")
    right = {"text": turn.answer, "transcript": turn.said if turn.spoken else None, "image": drawn}
    row = judge(turn, answer(**right | reply), held_out.gallery)
    wrong = [name for name in ("heard", "text", "picture") if not row[f"{name}_right"]]
    assert wrong == ([broken] if broken else [])
    assert row["right"] is not bool(broken)


def test_a_turn_that_does_not_fit_the_context_is_wrong(held_out):
    class Full(Perfect):
        def chat(self):
            def send(content, outputs, seed):
                raise InputError("expected a prompt of at most 510 ids, got 700")

            return SimpleNamespace(send=send)

    assert set(figures(Full(), "chat", held_out).values()) == {0}


def test_limit_and_empty_sets(held_out):
    rows = SUITES["asr"](bench(Perfect(), held_out, limit=1))[1]
    assert [row["voice"] for row in rows] == ["joe", "slt", "awb", "person"]
    held_out.sentences.clear()
    with pytest.raises(InputError, match="expected items"):
        figures(Perfect(), "asr", held_out)
