"""A server with FiveK's paths on this machine, which misbehaves as it is told.

What it should do with a path next stands in `will`: a list of functions, one used up by each GET.
When there is none left it behaves.
"""

import hashlib
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

LICENCE = b"For research only.\n"
LISTS = "/legal/filesAdobe.txt", "/legal/filesAdobeMIT.txt"
LICENCES = "/legal/LicenseAdobe.txt", "/legal/LicenseAdobeMIT.txt"


def photo_path(name):
    return f"/img/dng/{name}.dng"


class FiveK:
    """The server: `files` by path, `will` by path, and `log` of (time, method, path, headers)."""

    def __init__(self):
        self.files, self.will, self.log = {}, {}, []
        self.under_way = self.most_under_way = 0  # bodies whose last chunk is not sent yet
        self.pace_s = 0.0  # before each chunk of 1 kB
        self.lock = threading.Lock()
        self.dates = {}

    def hold(self, photographs, second=2):
        """Serve photographs by name; every `second`th is in the second list."""
        names = sorted(photographs)
        for name in names:
            self.files[photo_path(name)] = photographs[name]
        lists = [n for i, n in enumerate(names) if i % second], names[::second]
        for path, some in zip(LISTS, lists, strict=True):
            self.files[path] = "".join(f"{name}\n" for name in some).encode()
        for path, word in zip(LICENCES, (b"Adobe. ", b"Adobe and MIT. "), strict=True):
            self.files[path] = word + LICENCE

    @contextmanager
    def sending(self):
        with self.lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def etag(self, path):
        return f'"{hashlib.sha256(self.files[path]).hexdigest()[:16]}"'

    def date(self, path):
        return self.dates.get(path, formatdate(1_300_000_000, usegmt=True))

    def asked(self, name=None, method="GET"):
        """Give the log of a photograph, or of all photographs."""
        return [
            entry
            for entry in self.log
            if entry[1] == method
            and entry[2].startswith("/img/")
            and (name is None or entry[2] == photo_path(name))
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):  # noqa: N802  the base class's name
        self.answer()

    def do_GET(self):  # noqa: N802
        self.answer()

    def answer(self):
        fivek, path = self.server.fivek, unquote(self.path.partition("?")[0])
        with fivek.lock:
            fivek.log.append((time.monotonic(), self.command, path, dict(self.headers)))
            will = fivek.will.get(path, []) if self.command == "GET" else []
            action = will.pop(0) if will else behave
        try:
            action(self, path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def body(self, content):
        if self.command == "HEAD":
            return
        chunk = b""
        with self.server.fivek.sending():
            for i in range(0, len(content), 1000):
                self.wfile.write(chunk)
                time.sleep(self.server.fivek.pace_s)
                chunk = content[i : i + 1000]
        # No longer counted: a client with the last chunk may ask again before this thread goes on.
        self.wfile.write(chunk)

    def about(self, path):
        fivek = self.server.fivek
        return {"ETag": fivek.etag(path), "Last-Modified": fivek.date(path)}


def behave(handler, path):
    """Answer as RFC 9110 asks for."""
    fivek = handler.server.fivek
    content = fivek.files.get(path)
    if content is None:
        status(404)(handler, path)
        return
    about = handler.about(path)
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if wanted and handler.headers.get("If-Range", about["ETag"]) in about.values():
        begin = int(wanted[1])
        if begin >= len(content):
            status(416, {"Content-Range": f"bytes */{len(content)}"})(handler, path)
            return
        span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        handler.head(206, about | {"Content-Range": span, "Content-Length": len(content) - begin})
        handler.body(content[begin:])
        return
    handler.head(200, about | {"Content-Length": len(content)})
    handler.body(content)


def status(code, headers=None):
    def act(handler, path):
        handler.head(code, {"Content-Length": 5} | (headers or {}))
        handler.body(b"sorry")

    return act


def whole(extra=0, headers=None, cut=None, then=None):
    """Send all with a Content-Length that is `extra` too large, or only `cut` bytes of it."""

    def act(handler, path):
        content = handler.server.fivek.files[path]
        length = {"Content-Length": len(content) + extra}
        handler.head(200, handler.about(path) | length | (headers or {}))
        handler.body(content[:cut])
        handler.close_connection = True
        if then is not None:
            then(handler)

    return act


def reset(cut):
    """Break the connection off in mid-body, so that the client sees "connection reset"."""

    def hard(handler):
        handler.wfile.flush()
        time.sleep(0.05)  # what was sent before is to arrive
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()

    return whole(cut=cut, then=hard)


def short(cut):
    """End the connection in mid-body, in good order."""
    return whole(cut=cut)


def silent(cut, seconds):
    """Send some, then nothing for a while."""
    return whole(cut=cut, then=lambda handler: time.sleep(seconds))


def ignore_range(handler, path):
    whole()(handler, path)


def partial(content_range, shift=0, most=None):
    """Answer 206 with a Content-Range of one's own, and bytes from `shift` beside the right.

    As many as would make the whole as long as it should be, or at most `most`.
    """

    def act(handler, path):
        content = handler.server.fivek.files[path]
        begin = int(re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "bytes=0-"))[1])
        rest = content[begin + shift :][: len(content) - begin][:most]
        headers = {"Content-Length": len(rest)}
        if content_range:
            span = content_range.format(
                begin=begin + shift,
                last=begin + shift + len(rest) - 1,
                n=len(content),
                more=len(content) + 9,
            )
            headers["Content-Range"] = span
        handler.head(206, handler.about(path) | headers)
        handler.body(rest)

    return act


def without_length(cut=None):
    """Say no length; the end of the connection is the end of the body."""

    def act(handler, path):
        handler.head(200, handler.about(path) | {"Connection": "close"})
        handler.body(handler.server.fivek.files[path][:cut])
        handler.close_connection = True

    return act


def endless(handler, path):
    """Say no length, and never end."""
    handler.head(200, {"Connection": "close"})
    while True:
        handler.wfile.write(b"II*\0" * 10_000)


def moved(handler, path):
    handler.head(302, {"Location": handler.path + "?here", "Content-Length": 0})


def html(handler, path):
    page = b"<!DOCTYPE html><title>Sorry</title>We are moving house."
    handler.head(200, {"Content-Type": "text/html", "Content-Length": len(page)})
    handler.body(page)


def instead(content):
    """Send these bytes under the file's name."""

    def act(handler, path):
        handler.head(200, {"Content-Length": len(content)})
        handler.body(content)

    return act


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that was killed


@contextmanager
def serving():
    """Run the server; give it and its address."""
    fivek = FiveK()
    server = _Quiet(("127.0.0.1", 0), Handler)
    server.fivek = fivek
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fivek, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
