"""A small server of S3 on loopback that only reads, in a process of its own: for measuring those who ask it.

It sends files of a folder from the system's memory, over connections that stay open, and takes little of the
processor for itself; what it does not do (signatures, errors, writing) is what `benchmarks.common.bucket` is for.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from benchmarks.common.bucket import NAME, clients_of

ROOT = Path(__file__).resolve().parents[2]
RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
LISTED = "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>"
LISTING = '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>'


class ObjectServer(NamedTuple):
    """A server: its address, the folder whose files it serves, and the number of its process."""

    url: str
    folder: Path
    process: int

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Puts the files of a folder there; returns its address."""
        shutil.copytree(folder, self.folder / prefix, dirs_exist_ok=True)
        return f"s3://{NAME}/{prefix}"


@contextlib.contextmanager
def serving_files() -> Iterator[ObjectServer]:
    """Starts a server of an empty bucket, in the environment of its clients, and ends it."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "benchmarks.common.object_server", folder]
        with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = process.stdout.readline().strip()  # type: ignore[union-attr]  # a pipe
                with clients_of(url):
                    yield ObjectServer(url, Path(folder), process.pid)
            finally:
                process.kill()


def serve(folder: str) -> None:
    """Serves the files of a folder, and prints the address."""
    _Answers.root = Path(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class _Answers(BaseHTTPRequestHandler):
    """Answers GET, with ranges and lists, and HEAD of the files below `root`."""

    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True
    root: Path

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            return self._send(self._listing(asked.get("prefix", [""])[0]))
        return self._file(with_body=True)

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def log_message(self, *what: Any) -> None:
        """Says nothing."""

    def _file(self, with_body: bool) -> None:
        file = self.root / unquote(urlsplit(self.path).path).removeprefix(f"/{NAME}/")
        if not file.is_file():
            return self._send("<Error><Code>NoSuchKey</Code></Error>", 404)
        state = file.stat()
        first, last = 0, state.st_size - 1
        if (found := RANGE.match(self.headers.get("Range", ""))) is not None:
            first, last = int(found[1]), min(last, int(found[2] or last))
        if first > last:
            return self._send("<Error><Code>InvalidRange</Code></Error>", 416)
        self.send_response(200 if found is None else 206)
        facts = {"Content-Length": last - first + 1, "ETag": _tag(file), "Last-Modified": formatdate(state.st_mtime)}
        for name, fact in (facts | {"Content-Range": f"bytes {first}-{last}/{state.st_size}"}).items():
            self.send_header(name, str(fact))
        self.end_headers()
        if with_body:
            with file.open("rb") as content:
                self.connection.sendfile(content, first, last - first + 1)
        return None

    def _listing(self, prefix: str) -> str:
        files = sorted(file for file in self.root.rglob("*") if file.is_file())
        names = {file: file.relative_to(self.root).as_posix() for file in files}
        rows = [
            LISTED.format(escape(name), "2026-01-01T00:00:00Z", escape(_tag(file)), file.stat().st_size)
            for file, name in names.items()
            if name.startswith(prefix)
        ]
        return LISTING.format("".join(rows))

    def _send(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(file: Path) -> str:
    state = file.stat()
    return f'"{state.st_mtime_ns:x}-{state.st_size:x}"'


if __name__ == "__main__":
    serve(sys.argv[1])
