"""Prints what it takes to train a model of AR-Omni's size (7B): memory of each GPU, and days.

python train/plan.py
"""

from __future__ import annotations

from ar_omni.configuration import AROmniConfig
from ar_omni.training.plan import Plan, table

ADAPTER = 40_000_000  # rank 16 in all maps of every layer
PLANS = (
    ("pretraining", Plan(8, 13_000, 624_000, 140_000)),
    ("pretraining", Plan(64, 9_750, 624_000, 140_000)),
    ("SFT", Plan(8, 6_912, 221_184, 18_000)),
    ("SFT", Plan(64, 3_456, 221_184, 18_000)),
    ("LoRA, 1,000 steps of 64 rows", Plan(1, 6_912, 221_184, 1_000, ADAPTER)),
    ("LoRA, 1,000 steps of 64 rows", Plan(8, 6_912, 221_184, 1_000, ADAPTER)),
    ("all weights, 1,000 steps of 64 rows", Plan(1, 3_456, 221_184, 1_000)),
)


def main() -> None:
    print("\n".join(table(PLANS, AROmniConfig())))


if __name__ == "__main__":
    main()
