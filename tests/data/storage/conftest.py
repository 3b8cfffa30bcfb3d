"""A bucket on loopback with videos as files and as shards, put there once for all tests of this folder."""

import functools
import os

import pytest

from benchmarks.common.bucket import environment, serving
from tbe.data.storage import bucket as buckets
from tests.shards import make_shards


@pytest.fixture(scope="session")
def _server():
    with serving() as bucket:
        yield bucket


@pytest.fixture(autouse=True)
def _clients_made_once(monkeypatch):
    """Clients of S3 take half a second to make: a process of the tests has one for each kind of settings."""
    monkeypatch.setattr(buckets, "file_system", lambda address, *settings: _client(address[:4], settings, os.getpid()))


MAKE = buckets.file_system


@functools.cache
def _client(kind, settings, process):
    return MAKE({"s3:/": "s3://bucket", "http": "http://host"}[kind], *settings)


@pytest.fixture
def clients_made_anew(_clients_made_once, monkeypatch):
    monkeypatch.setattr(buckets, "file_system", MAKE)


@pytest.fixture
def bucket(_server, monkeypatch):
    """The server, without faults, and its credentials in the environment."""
    _server.fault = lambda request: None
    _server.requests.clear()
    for name, value in environment(_server.url).items():  # those of the tests may change
        monkeypatch.setenv(name, value)
    return _server


@pytest.fixture(scope="session")
def shards(video_folder, tmp_path_factory):
    return make_shards(video_folder, tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def addresses(_server, video_folder, shards):
    """The addresses of the files and of the shards."""
    return {"files": _server.put_folder(video_folder, "files"), "shards": _server.put_folder(shards, "shards")}
