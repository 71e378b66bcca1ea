"""Puts the trained nano into the package, with a manifest of its files.

python train/bundle.py --work-dir runs/nano --out ar_omni/assets/nano
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ar_omni import AROmni
from ar_omni.decoding import load_presets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--layout", type=Path, default=Path("configs/nano"), help="folder of the presets")
    parser.add_argument("--out", type=Path, default=Path("ar_omni/assets/nano"))
    args = parser.parse_args()
    omni = AROmni.from_pretrained(args.work_dir / "nano", dtype="bfloat16")  # half the download
    omni.presets = load_presets(args.layout)
    omni.save_pretrained(args.out)


if __name__ == "__main__":
    main()
