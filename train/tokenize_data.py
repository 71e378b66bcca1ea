"""Turns conversations in jsonl into token shards for training; docs/training.md has the format.

    python train/tokenize_data.py voice.jsonl --out data/voice --workers 2

Restartable: finished shards are kept. Lines that cannot be used are left out and named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ar_omni.checkpoint import find_checkpoint
from ar_omni.training.arguments import one_line_errors
from ar_omni.training.tokenization import tokenize


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="the jsonl file; paths in it begin at its folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--model", help="checkpoint that will be trained (default: the bundled nano)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows-per-shard", type=int, default=1000)
    args = parser.parse_args()
    checkpoint = find_checkpoint(args.model)
    skipped = list(tokenize(args.source, args.out, checkpoint, args.workers, args.rows_per_shard))
    print("\n".join([*skipped, f"{args.out}: {len(skipped)} lines left out"]))


if __name__ == "__main__":
    main()
