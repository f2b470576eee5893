"""Files from one server: asked for politely, gone on with where they stopped, and looked at."""

import socket
from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from pp_lib.photos.fivek.courtesy import (
    NOT_NOW,
    Courtesy,
    NotFetched,
    TryAgain,
    http_date,
    retry_after_s,
)
from pp_lib.photos.fivek.part import Part, Version

LARGEST_TEXT = 10_000_000  # bytes; the longer list has some 50 kB
LARGEST = 2_000_000_000  # bytes; ten times the DNG of the largest sensor


def user_agent() -> str:
    """Give who we are, so that the people who run the server know whom to ask."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        about = metadata("pp-lib")
    except PackageNotFoundError:
        return "photopilot"
    addresses = (line.split(",")[-1].strip() for line in about.get_all("Project-URL") or ())
    return f"photopilot/{about['Version']} (+{next(addresses, 'no address')})"


def open_client(connections: int, timeout_s: float):
    """Open an httpx.Client that says who we are and wants bytes as they are stored."""
    import httpx

    return httpx.Client(
        # compressed on the way, lengths and ranges would be those of something else
        headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
        timeout=timeout_s,
        limits=httpx.Limits(max_connections=connections),
        follow_redirects=True,
    )


class Download:
    """How files are had from one server.

    Parameters
    ----------
    client : httpx.Client
    courtesy : Courtesy
    make_room : callable
        Told how many bytes are to come; raises OSError where there is no room for them.
    """

    def __init__(
        self,
        client,
        courtesy: Courtesy,
        make_room: Callable[[int], None] = lambda n_bytes: None,
    ):
        self.client, self.courtesy, self.make_room = client, courtesy, make_room
        self._live = set()  # answers that are being read

    def photograph(self, address: str, part: Part) -> Version:
        """Bring a DNG into its part file, whole and looked at.

        Raises
        ------
        NotFetched
            If it cannot be had.
        OSError
            If the disk is full, or the like.
        """
        unopened = set()  # fingerprints of what came and could not be opened

        def attempt():
            version, sha256 = self._receive(address, part), part.fingerprint()
            trouble = part.why_not_opened()
            if trouble is None:
                return version
            part.drop()
            if sha256 in unopened:  # the very same bytes twice: a third time would not help
                raise NotFetched("cannot be opened", trouble)
            unopened.add(sha256)
            raise TryAgain("cannot be opened", trouble)

        return self.courtesy.persist(_last(address), attempt)

    def text(self, address: str) -> bytes:
        """Give a small file's content."""

        def attempt():
            with self._answer("GET", address) as response:
                content = b"".join(self._chunks(response, LARGEST_TEXT))
                is_told = {"content-length", "transfer-encoding"} & {*response.headers}
                if not is_told and not content.endswith(b"\n"):
                    raise TryAgain("wrong answer", "no length, and no end of the last line")
                return content

        return self.courtesy.persist(_last(address), attempt)

    def version(self, address: str) -> Version:
        """Ask which version of a file is there, and how long it is."""

        def attempt():
            with self._answer("HEAD", address) as response:
                return Version.of(response.headers, address)

        return self.courtesy.persist(_last(address), attempt)

    def hang_up(self) -> None:
        """End it all: threads that wait for a silent server wake up."""
        self.courtesy.stop.set()
        for response in list(self._live):
            stream = response.extensions.get("network_stream")
            connection = stream.get_extra_info("socket") if stream is not None else None
            if connection is not None:
                with suppress(OSError):  # the other side was faster
                    # not the connection's own: that of an encrypted one would say goodbye, and wait
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    @contextmanager
    def _answer(self, method: str, address: str, *, headers=None, also_fine=()):
        """Ask once; a broken connection, while asking or later, is a reason to try again."""
        import httpx

        try:
            with self.client.stream(method, address, headers=headers) as response:
                if response.status_code != 200 and response.status_code not in also_fine:
                    raise _refusal(response)
                self._live.add(response)
                try:
                    yield response
                finally:
                    self._live.discard(response)
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NotFetched("refused", f"{type(error).__name__}: {error}") from error
        except httpx.TimeoutException as error:
            silent = f"no answer within {self.courtesy.patience.timeout_s:g} s"
            raise TryAgain("no connection", silent) from error
        except httpx.TransportError as error:
            raise TryAgain("no connection", f"{type(error).__name__}: {error}") from error

    def _chunks(self, response, limit: int):
        n_bytes = 0
        for chunk in response.iter_raw():  # as they come: a chunk that waits to be full may be lost
            self.courtesy.check()
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise NotFetched("wrong answer", f"more than {limit:,} bytes, and no end")
            yield chunk

    def _receive(self, address: str, part: Part) -> Version:
        """Ask for what is missing, once, and append it."""
        version = part.version()
        if part.size and (
            version is None
            or version.address != address  # whose beginning is this?
            or not version.validator  # the server could not be told which version we mean
            or part.size > (version.length or part.size)
        ):
            part.drop()
        size = part.size
        if size and version.length == size:
            return version  # a run was killed when it had all
        headers = {"Range": f"bytes={size}-", "If-Range": version.validator} if size else {}
        also_fine = {206, 416} if size else ()
        with self._answer("GET", address, headers=headers, also_fine=also_fine) as response:
            if response.status_code == 200:  # it changed, or ranges are not the server's thing
                version = Version.of(response.headers, address)
                part.restart(version)
            else:
                version = version.continued(response.headers, size)
                if response.status_code == 416 or version is None:
                    part.drop()
                    said = response.headers.get("content-range", "none")
                    said = f"got {response.status_code} and Content-Range {said}"
                    raise TryAgain("wrong answer", f"expected the bytes from {size:,} on, {said}")
                part.note(version)
            if version.length is not None:
                if version.length > LARGEST:
                    raise NotFetched("wrong answer", f"it is said to have {version.length:,} bytes")
                self.make_room(version.length - part.size)
            part.append(self._chunks(response, LARGEST - part.size))
        if version.length is not None and part.size != version.length:
            came = f"{part.size:,} bytes came, expected {version.length:,}"
            if part.size > version.length:
                part.drop()
            raise TryAgain("wrong answer", came)
        return version


def _refusal(response) -> NotFetched:
    status = response.status_code
    said = f"{status} {response.reason_phrase}".strip()
    if status in NOT_NOW:
        # by the server's own clock, where it shows one
        now = http_date(response.headers.get("date")) or datetime.now(UTC)
        wait_s = retry_after_s(response.headers.get("retry-after"), now)
        return TryAgain("server trouble", said, wait_s)
    if status < 400 or status == 416:  # a part, say, of which nobody asked for one
        return TryAgain("wrong answer", said)
    return NotFetched("not there" if status in {404, 410} else "refused", said)


def _last(address: str) -> str:
    return address.rsplit("/", 1)[-1]
