"""The project's own weights: from the checkout, or downloaded once and checked."""

import hashlib
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torchvision.models import vgg16

from pp_lib.train import ThreeHeadVGG16, repository
from pp_lib.train import weights as module
from pp_lib.train.repository import CAMERA_WEIGHTS

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def state():
    """Give a backbone's state, of zeros: quick to make and to save."""
    with torch.device("meta"):
        shapes = vgg16(weights=None, init_weights=False).features.state_dict()
    return {name: torch.zeros(v.shape, dtype=torch.float16) for name, v in shapes.items()}


def note_of(path):
    return path.with_name(f"{path.name}.sha256")


@pytest.fixture
def checkout(monkeypatch, tmp_path, state):
    """Give a checkout's file of weights, its checksum beside it."""
    path = tmp_path / "checkout" / "vgg16-camera.safetensors"
    path.parent.mkdir()
    content = save(state | {"0.bias": torch.arange(64, dtype=torch.float16)})
    path.write_bytes(content)
    note_of(path).write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    monkeypatch.setattr(module, "camera_weights_path", lambda: path)
    return path


def test_a_checkout_has_its_file(checkout):
    model = ThreeHeadVGG16("camera")
    assert model.features[0].bias.dtype == torch.float32
    assert torch.equal(model.features[0].bias, torch.arange(64.0))


def test_a_file_of_other_layers_is_refused(checkout, state):
    content = save({name: v for name, v in state.items() if name != "0.bias"})
    checkout.write_bytes(content)
    note_of(checkout).write_text(hashlib.sha256(content).hexdigest())
    with pytest.raises(RuntimeError, match=r"0\.bias"):
        ThreeHeadVGG16("camera")


def test_one_wrong_bit_is_noticed(checkout):
    content = bytearray(checkout.read_bytes())
    content[-1] ^= 1  # of the last weight: still a file that could be read
    checkout.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged .*SHA-256.*fetch both"):
        ThreeHeadVGG16("camera")


@pytest.mark.parametrize("note", [None, ""])
def test_a_checkout_without_a_checksum_is_refused(checkout, note):
    note_of(checkout).unlink() if note is None else note_of(checkout).write_text(note)
    with pytest.raises(ValueError, match="missing or empty"):
        ThreeHeadVGG16("camera")


class Server:
    """Serve one answer to every request, and count them."""

    def __init__(self, status, body, length=None):
        server, self.paths = self, []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 (http.server's name)
                server.paths.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/own/repo"


@pytest.fixture
def installed(monkeypatch, tmp_path, state):
    """Give a function that starts a server for a package without the repository around it."""
    servers, content = [], save(state)
    monkeypatch.setenv("PHOTOPILOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(repository, "in_checkout", lambda name: tmp_path / "no" / name)
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(repository.PUBLISHED, CAMERA_WEIGHTS, sha256)

    def serve(status=200, body=content, length=None):
        servers.append(Server(status, body, length))
        url = servers[-1].url
        monkeypatch.setattr(repository, "address", lambda name: f"{url}/raw/v1/{name}")
        return servers[-1], content

    yield serve
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def cached(tmp_path):
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_an_installed_package_downloads_once(installed, tmp_path):
    server, content = installed()
    for _ in range(2):
        model = ThreeHeadVGG16("camera")
        assert not model.features[0].weight.any()
    assert server.paths == [f"/own/repo/raw/v1/{CAMERA_WEIGHTS}"]
    (file,) = cached(tmp_path)
    assert file.read_bytes() == content


@pytest.mark.parametrize("fault", ["missing", "other", "short"])
def test_a_download_that_fails_leaves_nothing(installed, tmp_path, fault):
    _, content = installed()
    answers = {
        "missing": {"status": 404, "body": b"not found"},
        "other": {"body": content[:-1] + b"!"},
        "short": {"body": content[:1000], "length": len(content)},
    }
    installed(**answers[fault])
    with pytest.raises(RuntimeError, match=r"cannot be had from http.*put the file at"):
        ThreeHeadVGG16("camera")
    assert cached(tmp_path) == []
    installed()
    ThreeHeadVGG16("camera")  # and the next try begins anew


def test_what_was_damaged_since_is_fetched_again(installed, tmp_path):
    server, content = installed()
    ThreeHeadVGG16("camera")
    (file,) = cached(tmp_path)
    file.write_bytes(content[:-1] + b"!")
    ThreeHeadVGG16("camera")
    assert file.read_bytes() == content
    assert len(server.paths) == 2


def test_the_address_is_the_repositorys_at_this_version():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    base = f"{project['urls']['Repository']}/raw/v{project['version']}"
    assert repository.address(CAMERA_WEIGHTS) == f"{base}/{CAMERA_WEIGHTS}"


@pytest.mark.parametrize("name", repository.PUBLISHED)
def test_the_checkouts_files_are_those_that_are_downloaded_elsewhere(name):
    content = (REPOSITORY / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == repository.PUBLISHED[name]
