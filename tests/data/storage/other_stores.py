"""Stand-ins on loopback for stores that are not S3, as far as the libraries that read them ask."""

import contextlib
import hashlib
import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

SECRET = "hf_a-token-that-nobody-may-see"
DAY = formatdate(0, usegmt=True)


class Store:
    """A server. files: by their paths. requests: paths, and the bytes they wanted. refuses: all that is asked."""

    refusal = 401

    def __init__(self):
        self.files = {}
        self.requests = []
        self.refuses = False
        store = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = unquote(urlsplit(self.path).path)
                wanted = self.headers.get("Range") or self.headers.get("x-ms-range")
                store.requests.append((path, wanted))
                self.answer(*((store.refusal, b"{}") if store.refuses else store.answer(path, wanted)))

            do_HEAD = do_GET

            def answer(self, status, body, head=()):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **dict(head)}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")

            def log_message(self, *what): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def put_folder(self, folder, prefix):
        """Puts the files of a folder there; returns its address."""
        files = (file for file in folder.rglob("*") if file.is_file())
        self.files |= {f"{prefix}/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}
        return f"{self.address}/{prefix}"

    def part(self, name, wanted):
        """Returns the status and the bytes of a file that are wanted."""
        if (content := self.files.get(name)) is None:
            return 404, b"not found"
        if wanted is None:
            return 200, content
        first, last = wanted.removeprefix("bytes=").split("-")
        end = int(last) + 1 if last else None
        return (206, content[int(first) : end]) if int(first) < len(content) else (416, b"")

    def digest(self, name):
        return hashlib.sha1(self.files[name]).hexdigest()


class Hub(Store):
    """Data sets of the Hugging Face Hub."""

    address = "hf://datasets/me/k400"

    def environment(self):
        return {"HF_TOKEN": SECRET}

    def answer(self, path, wanted):
        api, files = "/api/datasets/me/k400", "/datasets/me/k400/resolve/main/"
        if path.startswith(files):
            return self.part(path.removeprefix(files), wanted)
        if path.startswith(f"{api}/tree/main/"):
            rows = self.listing(path.removeprefix(f"{api}/tree/main/"))
            return (200, json.dumps(rows).encode()) if rows else (404, b"not found")
        return (200, json.dumps({"id": "me/k400", "sha": "0" * 40}).encode()) if path == api else (404, b"{}")

    def listing(self, folder):
        """Returns what lies right below a folder."""
        below = {name: name.removeprefix(f"{folder}/") for name in self.files if name.startswith(f"{folder}/")}
        folders = {f"{folder}/{rest.split('/')[0]}" for rest in below.values() if "/" in rest}
        rows = [{"type": "directory", "path": path, "oid": "0"} for path in sorted(folders)]
        files = [name for name, rest in below.items() if "/" not in rest]
        return rows + [
            {"type": "file", "path": name, "size": len(self.files[name]), "oid": self.digest(name)} for name in files
        ]


class GoogleStorage(Store):
    """The JSON API of Google Cloud Storage."""

    address = "gs://bucket"

    def environment(self):
        return {"STORAGE_EMULATOR_HOST": self.url}

    def answer(self, path, wanted):
        kind, _, name = path.partition("storage/v1/b/bucket/o")
        if not name:
            return 200, b"{}"  # a list of nothing, for what may be a folder
        if kind == "/download/":
            return self.part(name[1:], wanted)
        if name[1:] not in self.files:
            return 404, b"{}"
        facts = {"name": name[1:], "bucket": "bucket", "size": len(self.files[name[1:]])}
        return 200, json.dumps(facts | {"etag": self.digest(name[1:]), "md5Hash": self.digest(name[1:])}).encode()


class AzureBlobs(Store):
    """Blobs of Azure Storage."""

    address = "az://bucket"
    refusal = 403

    def environment(self):
        account = f"AccountName=me;AccountKey=AAAA;BlobEndpoint={self.url}/me;"
        return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{account}"}

    def answer(self, path, wanted):
        name = path.removeprefix("/me/bucket").strip("/")
        if not name:
            nothing = b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
            return 200, nothing, {"Content_Type": "application/xml"}
        status, body = self.part(name, wanted)
        if status >= 400:
            return status, b""
        first = int((wanted or "bytes=0-")[6:].split("-")[0])
        head = {"ETag": f'"{self.digest(name)}"', "Last_Modified": DAY, "x_ms_blob_type": "BlockBlob"}
        if wanted:
            head["Content_Range"] = f"bytes {first}-{first + len(body) - 1}/{len(self.files[name])}"
        return status, body, head


@contextlib.contextmanager
def serving(kind):
    """Starts a server without files, and ends it."""
    store = kind()
    try:
        yield store
    finally:
        store.server.shutdown()
        store.server.server_close()
