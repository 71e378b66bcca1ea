"""Commands that serve others write nothing but uploads, and these only into the folder of temporary files."""

import base64
from io import BytesIO

import openai
import pytest

from tests.app.browser import NEEDS_CHROMIUM, chromium, ended, say, visit
from tests.app.test_browser_inputs import DROP
from tests.serving.commands import running
from tests.serving.conftest import KEY

WATCHED = """
import os, sys
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")
def tell(path):  # at once, so that threads do not mix their lines
    os.write(2, f"wrote {os.path.abspath(os.fsdecode(path))}\\n".encode())
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        if (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            tell(args[0])
    elif event in CHANGES:
        tell(args[0])
sys.addaudithook(watch)
from ar_omni.cli import main
sys.exit(main())
"""
"""`ar-omni`, telling whatever it makes, changes or opens to write."""
UNKEPT = ("/dev/", "/proc/")


@pytest.fixture
def places(tmp_path):
    """Folders of a process: home, here, and temporary."""
    for name in ("home", "here", "temporary"):
        (tmp_path / name).mkdir()
    return tmp_path


def watched(places, *arguments):
    home, temporary = str(places / "home"), str(places / "temporary")
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": temporary, "PYTHONDONTWRITEBYTECODE": "1"}
    return running(*arguments, cwd=places / "here", program=("-c", WATCHED), **environment)


def written(process):
    """What a process wrote, once it has ended."""
    process.terminate()
    lines = process.communicate(timeout=60)[1].decode().splitlines()
    files = [line.removeprefix("wrote ") for line in lines if line.startswith("wrote ")]
    return [file for file in files if not file.startswith(UNKEPT)]


@pytest.mark.slow
def test_the_server(checkpoint, places, tone, picture):
    with watched(places, "serve", "--model", checkpoint, "--api-key", KEY) as (url, process):
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        tone.save(places / "tone.wav")
        for name in ("tone.wav", "../../here/evil.wav", "/etc/evil.wav"):
            padded = (places / "tone.wav").read_bytes() + bytes(2**21)  # too long to be kept in memory
            client.audio.transcriptions.create(model=checkpoint.name, file=(name, padded))
        client.images.generate(prompt="a fox")
        for form in ("wav", "flac", "opus", "mp3"):
            client.audio.speech.create(model="", voice="any", input="../../here/evil", response_format=form)
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="", messages=[{"role": "user", "content": []}])
        files = written(process)
    assert all(file.startswith(str(places / "temporary")) for file in files)
    assert [path.name for path in places.rglob("*") if path.is_file()] == ["tone.wav"]


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_the_app(checkpoint, places, picture):
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    file = BytesIO()
    picture.save(file, "png")
    with (
        watched(places, "app", "--model", checkpoint) as (url, process),
        playwright() as driver,
        chromium(driver, places / "profile") as context,
    ):
        page = visit(context, url)
        page.evaluate(DROP, base64.b64encode(file.getvalue()).decode())
        page.wait_for_selector("#box .thumbnails img")
        say(page, "hello")
        ended(page)
        answer = context.request.post(
            f"{url}/gradio_api/upload",
            multipart={"files": {"name": "../../../here/evil.png", "mimeType": "image/png", "buffer": b"x"}},
        )
        assert answer.ok
        assert context.request.get(f"{url}/gradio_api/file=/etc/passwd").status == 403
        files = written(process)
    assert files and all(file.startswith(str(places / "temporary")) for file in files)
    assert not list((places / "home").iterdir()) and not list((places / "here").iterdir())
