"""How good a checkpoint is: held-out items, judged by programs that know nothing of the model.

Speech is judged by Whisper tiny.en, pictures by their nearest neighbour in a gallery of all concepts.
Recordings of the held-out sentences are read by Piper and kept in the package's
cache folder. Needs the extra `[eval]`.
"""
