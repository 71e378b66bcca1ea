"""nano's world: sentences from a seed, a split that leaks nothing, and labels where the sounds are."""

import itertools
import random

import numpy as np

from ar_omni.training.speech_tokenizer import phoneme_inventory, phoneme_labels
from ar_omni.training.world.dialogues import spoken_lines, unspoken_requests
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair
from ar_omni.training.world.sentences import expand, grammar, is_held_out, phrases, sentences
from ar_omni.training.world.voices import Utterance, load_shard, save_shard


def test_sentences_follow_from_the_seed_and_never_cross_the_split():
    trained = list(itertools.islice(sentences(3), 300))
    held_out = list(itertools.islice(sentences(3, held_out=True), 20))
    assert trained == list(itertools.islice(sentences(3), 300))
    assert not set(trained) & set(held_out)
    assert all(is_held_out(text) for text in held_out) and not any(map(is_held_out, trained))
    assert is_held_out(held_out[0].lower()), "the split goes by words, not by spelling"


def test_every_slot_of_the_grammar_expands():
    for slot, options in grammar().items():
        assert options, slot
        assert "{" not in expand(slot, random.Random(1))


def test_phrases_are_short():
    assert {len(text.split()) for text in itertools.islice(phrases(0), 200)} == {1, 2, 3, 4}


def test_at_most_one_style_of_a_concept_is_held_out():
    names = [f"thing {index}" for index in range(400)]
    held_out = [[is_held_out_pair(name, style) for style in STYLES] for name in names]
    assert max(map(sum, held_out)) == 1
    assert 0.02 < np.mean(held_out) < 0.09


def test_requests_to_evaluate_with_are_never_spoken_in_training():
    concepts = [Concept(f"thing {index}", "0", "objects", ()) for index in range(20)]
    assert not {request for request, _ in unspoken_requests(concepts)} & set(spoken_lines(concepts))


def test_a_code_is_labelled_with_the_sound_in_its_middle(tmp_path):
    utterance = Utterance(
        "ab", np.zeros(2400, np.int16), ("^", "a", "ː", "b", "$"), np.array([300, 900, 1300, 2000, 2400])
    )
    labels = phoneme_labels(utterance, phoneme_inventory([utterance]), 600)
    assert labels.tolist() == [1, 1, 2, 2]
    save_shard(tmp_path / "0.npz", [utterance, utterance])
    loaded = load_shard(tmp_path / "0.npz")[1]
    assert loaded.phonemes == utterance.phonemes and (loaded.ends == utterance.ends).all()
