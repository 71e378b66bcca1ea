"""Say what pictures show, all of them in one batch.

python infer/caption.py apple.png pear.jpg
"""

import argparse

from ar_omni import AROmni

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("pictures", nargs="+", help="png, jpeg, webp or gif")
parser.add_argument("--model", help="a checkpoint folder; the bundled nano if left out")
args = parser.parse_args()

omni = AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()
prompts = [[{"role": "user", "content": [{"type": "image", "image": path}]}] for path in args.pictures]
replies = omni.generate(prompts, outputs=("text",), task="describe")
for path, reply in zip(args.pictures, replies, strict=True):
    print(f"{path}: {reply.text}")
