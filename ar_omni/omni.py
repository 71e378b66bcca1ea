"""`AROmni`: a checkpoint that talks. Everything it gives is a stream of events, collected or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ar_omni import streaming
from ar_omni.adapters import Adapters
from ar_omni.chat import Chat
from ar_omni.checkpoint import find_checkpoint
from ar_omni.decoding import Network, Options, load_presets, save_presets
from ar_omni.errors import InputError
from ar_omni.events import Event
from ar_omni.loading import Weights, choose_attention, choose_device, choose_dtype, layers_of
from ar_omni.manifest import write_manifest
from ar_omni.media import Audio
from ar_omni.planning import Request, as_messages, plan_turn
from ar_omni.processing import Message, Processor
from ar_omni.quantization import check_scheme
from ar_omni.streaming import Reply, Turn, collect

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from ar_omni.modeling import AROmniForCausalLM


class AROmni:
    """One checkpoint: network, processor and presets.

    Args:
        network: what predicts.
        processor: messages <-> ids.
        presets: task -> how to decode it; `Options()` where there is none.
        folder: where the checkpoint lies, for `model`.
    """

    def __init__(
        self,
        network: Network,
        processor: Processor,
        presets: Mapping[str, Options] | None = None,
        folder: str | PathLike | None = None,
    ):
        self.network = network
        self.processor = processor
        self.presets = dict(presets or {})
        self.adapters = Adapters(self)
        self._folder = folder
        self._model: AROmniForCausalLM | None = None

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        quantize: str | None = None,
        device_map: str | Mapping[str, int] | None = None,
        attention: str | None = None,
    ) -> AROmni:
        """Load a checkpoint.

        Args:
            name: a folder or a hub id; None is the bundled nano.
            device: `"auto"` takes cuda, else mps, else cpu.
            dtype: `"auto"`, `"float32"` or `"bfloat16"`.
            quantize: None, `"int8"` or `"int4"` for the decoder's linear maps.
            device_map: `"auto"` spreads the layers over the GPUs and then the CPU; or layers by device.
            attention: `"sdpa"` or `"flash"`; None takes flash-attn where it is installed and fits.

        Raises:
            CheckpointError: an unknown, incomplete or damaged checkpoint.
            InputError: a device, dtype or scheme that cannot be used.
        """
        check_scheme(quantize)
        folder = find_checkpoint(name)
        device = choose_device(device)
        dtype = choose_dtype(dtype, device, folder)
        weights = Weights(folder, device, dtype, layers_of(device_map, Weights(folder), dtype))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        attention = choose_attention(attention, device, dtype)
        network = Network.from_weights(weights, config, quantize, attention)
        return cls(network, Processor.from_pretrained(folder), load_presets(folder), folder)

    @classmethod
    def from_model(
        cls, model: AROmniForCausalLM, processor: Processor, presets: Mapping[str, Options] | None = None
    ) -> AROmni:
        """Talk with a model in memory, while it trains or with an adapter on; the weights are shared."""
        omni = cls(Network.from_model(model), processor, presets)
        omni._model = model
        return omni

    @property
    def model(self) -> AROmniForCausalLM:
        """The transformers model; from its first use on, replies come from its weights, adapters included."""
        if self._model is None:
            from ar_omni.modeling import AROmniForCausalLM

            loaded = AROmniForCausalLM.from_pretrained(self._folder, dtype=self.network.dtype)
            self.model = loaded.to(self.network.device).eval()
        return self._model

    @model.setter
    def model(self, model: AROmniForCausalLM) -> None:
        self._model, self.network = model, Network.from_model(model)

    def save_pretrained(self, folder: str | PathLike) -> None:
        """Write the whole checkpoint, manifest included."""
        folder = Path(folder)
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        save_presets(folder, self.presets)
        write_manifest(folder)

    def stream(
        self,
        prompt: Any,
        outputs: str | Sequence[str] | None = None,
        task: str | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        previews: bool = False,
        **overrides: Any,
    ) -> Iterator[Event]:
        """Reply event by event; close the generator to stop at once.

        Args:
            prompt: a str, `Audio`, PIL picture, or list of messages in Hugging Face format.
            outputs: of `"text"`, `"image"` and `"speech"`. Without `"text"` the reply is the media and no
                more; with it, speech is sure to come and a picture is the model's choice.
            task: name of a preset; by default it follows from prompt and outputs.
            max_new_tokens: most ids of the reply.
            seed: for the same reply again; None draws one, which the stats tell.
            previews: whether `ImageProgress` shows the unfinished picture now and then.
            overrides: changes of the preset, as `Options.override` takes them.

        Raises:
            InputError: a prompt or argument that cannot be used.
            UnsupportedOutputError: an output that the checkpoint was not trained for.
        """
        request = Request(outputs, task, max_new_tokens, seed, previews, overrides)
        return self.run(plan_turn(self, as_messages(prompt), request))

    def run(self, turn: Turn) -> Iterator[Event]:
        """Decode one planned turn."""
        return (event for _, event in streaming.stream(self.network, self.processor, [turn]))

    def stream_batch(
        self, prompts: Sequence[Any], seed: int | Sequence[int] | None = None, **kwargs: Any
    ) -> Iterator[tuple[int, Event]]:
        """Reply to several prompts at once: (index, event) pairs; each reply is what `stream` gives for it.

        Args:
            prompts: each as `stream` takes one.
            seed: one for all (equal prompts then get equal replies), or one for each.
            kwargs: as in `stream`.
        """
        seeds = [seed] * len(prompts) if seed is None or isinstance(seed, int) else list(seed)
        if not prompts or len(seeds) != len(prompts):
            raise InputError(
                f"expected prompts, and one seed or one for each, got {len(prompts)} and {seed!r}"
            )
        turns = [
            plan_turn(self, as_messages(prompt), Request.of(seed=own, **kwargs))
            for prompt, own in zip(prompts, seeds, strict=True)
        ]
        return streaming.stream(self.network, self.processor, turns)

    def generate(self, prompt: Any, **kwargs: Any) -> Reply | list[Reply]:
        """The collected `stream`, for one prompt, or for each of a list of prompts as one batch.

        Args:
            prompt: as in `stream`, or a list of such prompts.
            kwargs: as in `stream`.
        """
        if not _is_batch(prompt):
            return collect(self.stream(prompt, **kwargs))
        events: list[list[Event]] = [[] for _ in prompt]
        for index, event in self.stream_batch(prompt, **kwargs):
            events[index].append(event)
        return [collect(own) for own in events]

    def chat(self, task: str = "chat") -> Chat:
        """A conversation that keeps its context, and the KV cache with it."""
        return Chat(self, task)

    def speak(self, text: str, **kwargs: Any) -> Audio:
        """Read `text` aloud; `kwargs` as in `stream`."""
        return self.generate(text, task="speak", **kwargs).audio

    def transcribe(self, audio: Audio | str | PathLike, **kwargs: Any) -> str:
        """Write down what is said in a recording; `kwargs` as in `stream`."""
        reply = self.generate(_one_part("audio", audio), task="transcribe", **kwargs)
        return reply.transcript if reply.transcript is not None else reply.text or ""

    def draw(self, prompt: str, **kwargs: Any) -> Image:
        """Draw what `prompt` says; `kwargs` as in `stream`."""
        return self.generate(prompt, task="draw", **kwargs).image

    def describe(self, image: Image | str | PathLike, **kwargs: Any) -> str:
        """Say what a picture shows; `kwargs` as in `stream`."""
        return self.generate(_one_part("image", image), task="describe", **kwargs).text or ""


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value


def _is_batch(prompt: Any) -> bool:
    """A list whose items are not messages of one conversation."""
    return isinstance(prompt, Sequence) and not isinstance(prompt, str) and not any(map(_is_message, prompt))


def _one_part(kind: str, medium: Any) -> list[Message]:
    return [{"role": "user", "content": [{"type": kind, kind: medium}]}]
