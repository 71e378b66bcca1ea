"""The chat app: `python app.py` is `ar-omni app`; the same flags apply."""

import sys

from ar_omni.cli import main

if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
