"""`ar-omni app` and `ar-omni serve` as people run them: processes on loopback, with files of their own."""

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

AR_OMNI = ("-m", "ar_omni.cli")


@contextmanager
def running(*arguments, cwd, program=AR_OMNI, trusted=None, **environment):
    """(url, process) of a command that answers.

    Args:
        arguments: of `ar-omni`, but for the port.
        cwd: where it runs.
        program: what Python runs.
        trusted: the certificate to trust, of a command that has one.
        environment: variables to add.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, *program, *map(str, arguments), "--port", port],
        cwd=cwd,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
    )
    try:
        url = f"{'https' if trusted else 'http'}://127.0.0.1:{port}"
        wait_for(f"{url}/healthz" if arguments[0] == "serve" else url, process, trusted)
        yield url, process
    finally:
        process.kill()
        process.communicate()


def fetch(url, trusted=None):
    """The bytes at an address."""
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    with urllib.request.urlopen(url, timeout=20, context=context) as got:
        return got.read()


def wait_for(url, process, trusted=None, seconds=90):
    stop = time.monotonic() + seconds
    while time.monotonic() < stop and process.poll() is None:
        try:
            return fetch(url, trusted)
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(process.stderr.read().decode())
