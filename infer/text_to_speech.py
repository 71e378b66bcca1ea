"""Say a sentence, and write each piece of speech as soon as it exists.

python infer/text_to_speech.py "Good afternoon!" good_afternoon.wav
"""

import argparse

import soundfile

from ar_omni import AROmni, SpeechChunk

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("text", nargs="?", default="Good afternoon!")
parser.add_argument("output", nargs="?", default="speech.wav")
parser.add_argument("--model", help="a checkpoint folder; the bundled nano if left out")
args = parser.parse_args()

omni = AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()
file = None
for event in omni.stream(args.text, outputs=("speech",), task="speak"):
    if isinstance(event, SpeechChunk):
        file = file or soundfile.SoundFile(args.output, "w", event.sample_rate, channels=1)
        file.write(event.pcm)
        print(f"{file.frames / event.sample_rate:5.2f} s", end="\r", flush=True)
if file:
    file.close()
print(f"\n{args.output}")
