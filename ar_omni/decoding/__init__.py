"""Decoding: what is legal (controller), how to choose (options, sampling, guidance), and the loop."""

from ar_omni.decoding.cache import Sequence
from ar_omni.decoding.controller import Controller, Plan, State, plan_reply
from ar_omni.decoding.guidance import Guidance
from ar_omni.decoding.loop import Row, Token, decode, step
from ar_omni.decoding.network import Network
from ar_omni.decoding.options import Options, StateOptions, load_presets, save_presets
from ar_omni.decoding.sampling import Sampler

__all__ = [
    "Controller",
    "Guidance",
    "Network",
    "Options",
    "Plan",
    "Row",
    "Sampler",
    "Sequence",
    "State",
    "StateOptions",
    "Token",
    "decode",
    "load_presets",
    "plan_reply",
    "save_presets",
    "step",
]
