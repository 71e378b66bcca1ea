"""Write down what is said in recordings, as it is recognised.

python infer/transcribe.py question.wav
"""

import argparse

from ar_omni import AROmni, TextDelta, TranscriptDelta

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("recordings", nargs="+", help="wav, flac, ogg or mp3")
parser.add_argument("--model", help="a checkpoint folder; the bundled nano if left out")
args = parser.parse_args()

omni = AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()
for path in args.recordings:
    print(f"{path}: ", end="")
    message = {"role": "user", "content": [{"type": "audio", "audio": path}]}
    for event in omni.stream([message], outputs=("text",), task="transcribe"):
        if isinstance(event, TextDelta | TranscriptDelta):
            print(event.text, end="", flush=True)
    print()
