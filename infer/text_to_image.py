"""Draw several pictures of one thing, one for each seed.

python infer/text_to_image.py "a red apple in 3d style" --count 4
"""

import argparse

from ar_omni import AROmni

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("prompt", nargs="?", default="a red apple in 3d style")
parser.add_argument("--count", type=int, default=2)
parser.add_argument("--model", help="a checkpoint folder; the bundled nano if left out")
args = parser.parse_args()

omni = AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()
for seed in range(args.count):
    path = f"{args.prompt.replace(' ', '_')}_{seed}.png"
    omni.draw(args.prompt, seed=seed).save(path)
    print(path)
