"""How good a checkpoint is: held-out items, judged by programs that know nothing of the model.

Words are judged by Whisper tiny.en, the sound of speech by DNSMOS, pictures by their nearest neighbour in a
gallery of all concepts, conversations by rule. Recordings of the held-out sentences are read by Piper and
kept in the package's cache folder. Needs the extra `[eval]`.
"""
