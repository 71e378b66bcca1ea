"""HTTPS is really served by both commands: to programs, and to a browser, which then gives the microphone."""

import subprocess

import pytest

from ar_omni import cli
from tests.app.browser import NEEDS_CHROMIUM, chromium, visit
from tests.serving.commands import fetch, running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) of the names that the tests use; nobody else has signed it."""
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=people.test -addext"
    names = "subjectAltName=DNS:people.test,IP:127.0.0.1"
    subprocess.run(
        [*command.split(), names, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files


def secured(command, checkpoint, certificate, cwd):
    files = ("--ssl-certfile", certificate[0], "--ssl-keyfile", certificate[1])
    return running(command, "--model", checkpoint, *files, cwd=cwd, trusted=certificate[0])


@pytest.mark.slow
def test_the_server_answers_by_https_alone(checkpoint, certificate, tmp_path):
    with secured("serve", checkpoint, certificate, tmp_path) as (url, _):
        assert b"ar_omni_replies_total" in fetch(url + "/metrics", certificate[0])
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(url + "/healthz")
        with pytest.raises(OSError, match=r"reset|disconnected|closed|EOF"):
            fetch(url.replace("https", "http") + "/healthz")


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_the_app_has_a_microphone_at_any_address_by_https(checkpoint, certificate, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with secured("app", checkpoint, certificate, tmp_path) as (url, _), playwright() as driver:
        assert b"<html" in fetch(url, certificate[0])
        with chromium(driver, tmp_path / "profile", "--ignore-certificate-errors") as context:
            page = visit(context, url.replace("127.0.0.1", "people.test"))
            assert page.evaluate("isSecureContext") and page.is_enabled("#microphone button")
            assert page.inner_text("#microphone .hint") == ""


@pytest.mark.parametrize("command", ["app", "serve"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--ssl-keyfile", "key.pem"], "expected --ssl-certfile and --ssl-keyfile"),
        (["--ssl-certfile", "no.pem", "--ssl-keyfile", "no.pem"], "expected a file, got no.pem"),
    ],
)
def test_half_a_certificate_is_refused(command, flags, expected, capsys):
    assert cli.main([command, *flags]) == 2
    assert expected in capsys.readouterr().err
