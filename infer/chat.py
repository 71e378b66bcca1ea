"""Three turns of one conversation: typed, about a picture, and spoken.

python infer/chat.py
"""

import argparse

from ar_omni import AROmni

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", help="a checkpoint folder; the bundled nano if left out")
args = parser.parse_args()

omni = AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()
chat = omni.chat()

reply = chat.send("show me a red apple", outputs=("text", "image"))
print("you: show me a red apple\nit: ", reply.text)
reply.image.save("shown.png")

reply = chat.send([{"type": "image", "image": "shown.png"}, {"type": "text", "text": "what is this?"}])
print("you: [shown.png] what is this?\nit: ", reply.text)

spoken = omni.speak("show me a pear")
reply = chat.send(spoken, outputs=("text", "speech"))
print(f"you: [{spoken.duration:.1f} s of speech], heard as: {reply.transcript}\nit: ", reply.text)
reply.audio.save("spoken_reply.wav")
