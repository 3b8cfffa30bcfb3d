"""A real server of S3 on loopback, moto's, with faults: its user says of requests how they are answered."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

NAME = "bucket"
SECRET = "a-secret-that-nobody-may-see"
OWNER = "AWS4-HMAC-SHA256 Credential=a-key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
FAULT = '<?xml version="1.0"?><Error><Code>{}</Code><Message>the message of {}</Message></Error>'


class Bucket:
    """The server, as a WSGI application around moto's.

    url: of the server. requests: method and path of each. fault: of a request (method and path), how it is answered:
    None as usual, (status, code) with an error of S3, or a function of the body which yields the parts to send.
    """

    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.application = DomainDispatcherApplication(create_backend_app)
        self.requests: list[str] = []
        self.fault: Callable[[str], object] = lambda request: None
        self.server = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __call__(self, environ, start_response):
        request = f"{environ['REQUEST_METHOD']} {unquote(environ['PATH_INFO'])}"
        self.requests.append(request)
        fault = self.fault(request)
        if isinstance(fault, tuple):
            status, code = fault
            body = FAULT.format(code, code).encode()
            start_response(
                f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            )
            return [body]
        answer = self.application(environ, start_response)
        return answer if fault is None else fault(b"".join(answer))

    def put(self, key: str, content: bytes) -> None:
        """Puts an object there."""
        send(self.url, f"{NAME}/{quote(key)}", "PUT", content)

    def delete(self, key: str) -> None:
        """Removes an object."""
        send(self.url, f"{NAME}/{quote(key)}", "DELETE")

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Puts the files of a folder there; returns its address."""
        return put_folder(self.url, folder, prefix)


def environment(url: str) -> dict[str, str]:
    """Returns the environment of a client of a server."""
    known = {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": os.devnull}
    return known | keys | {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


@contextlib.contextmanager
def clients_of(url: str) -> Iterator[None]:
    """Sets the environment of the clients of a server, for a while."""
    own = environment(url)
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def put_folder(url: str, folder: Path, prefix: str) -> str:
    """Puts the files of a folder into the bucket of a server; returns its address."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            send(url, f"{NAME}/{quote(f'{prefix}/{file.relative_to(folder).as_posix()}')}", "PUT", file.read_bytes())
    return f"s3://{NAME}/{prefix}"


def send(url: str, path: str, method: str, content: bytes | None = None) -> None:
    """Sends a request of the bucket's owner."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    head = {"Content-Type": "application/octet-stream", "x-amz-acl": "public-read", "Authorization": OWNER}
    request = urllib.request.Request(f"{url}/{path}", data=content, headers=head, method=method)
    opener.open(request, timeout=30).close()


@contextlib.contextmanager
def serving() -> Iterator[Bucket]:
    """Starts a server with an empty bucket, in the environment of its clients, and ends it."""
    bucket = Bucket()
    try:
        send(bucket.url, NAME, "PUT", b"")
        with clients_of(bucket.url):
            yield bucket
    finally:
        bucket.server.shutdown()
        bucket.server.server_close()


def first(times: int, fault: object, of: str = "GET") -> Callable[[str], object]:
    """A fault of the first so many requests whose text has `of`."""
    left = [times]

    def answer(request: str) -> object:
        if of not in request or left[0] <= 0:
            return None
        left[0] -= 1
        return fault

    return answer


def half(body: bytes) -> Iterator[bytes]:
    """Sends half of a body, of which the head has said all."""
    yield body[: len(body) // 2]


def late(seconds: float) -> Callable[[bytes], Iterator[bytes]]:
    """Sends a body after so many seconds."""

    def send(body: bytes) -> Iterator[bytes]:
        time.sleep(seconds)
        yield body

    return send
