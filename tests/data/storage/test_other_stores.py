import dataclasses

import pytest

from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.video_lists import VideoLists
from tbe.data.storage import bucket as buckets
from tbe.data.storage.bucket import BucketSettings, BucketStore
from tbe.data.storage.pieces import LostPiece, Piece
from tbe.data.storage.retrying import StoreRefused, is_refused
from tests.data.storage.other_stores import SECRET, AzureBlobs, GoogleStorage, Hub, serving

FILE = "class 0/video 0.mp4"
KINDS = {"hf": (Hub, "huggingface_hub"), "gs": (GoogleStorage, "gcsfs"), "az": (AzureBlobs, "adlfs")}


@pytest.fixture(params=KINDS)
def there(request, monkeypatch, clients_made_anew):
    """A store, and its credentials in the environment."""
    kind, package = KINDS[request.param]
    pytest.importorskip(package, reason=f"needs {package}, which reads {request.param}://")
    with serving(kind) as store:
        for name, value in {**store.environment(), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        if kind is Hub:
            from huggingface_hub import constants

            template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, store.url)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            monkeypatch.setattr(constants, "ENDPOINT", store.url)
        yield store


def settings(there, **changed):
    anonymous = isinstance(there, GoogleStorage)  # without a service of Google's that gives out tokens
    return BucketSettings(anonymous=anonymous, patience=0.5, ahead=0, **changed)


def test_other_stores_have_the_same_videos_and_lists_as_the_disk(there, video_folder, shards, tmp_path):
    bucket = dataclasses.asdict(settings(there))
    splits, cache = {"train": "train.txt", "test": "test.txt"}, {"folder": str(tmp_path)}
    local = VideoLists("mine", str(video_folder), splits, 2).records("test")
    for kind, folder in {"files": video_folder, "shards": shards}.items():
        remote = VideoLists("mine", there.put_folder(folder, kind), splits, 2, bucket=bucket, cache=cache)
        remote.prepare()
        records = remote.records("test")
        assert records.paths.tolist() == local.paths.tolist()
        found, expected = (PyAvReader()(data.to_open(1)).frames([0, 3]) for data in (records, local))
        assert found.equal(expected)
    piece = records.places.piece(1)  # no more than it is asked for
    assert there.requests[-1][1] == f"bytes={piece.offset}-{piece.offset + piece.size - 1}"


def test_what_is_missing_or_refused_in_other_stores_is_said_in_one_line(there, video_folder):
    store = BucketStore(there.put_folder(video_folder, "files"), settings(there))
    before = store.version("train.txt")
    assert store.read(Piece("train.txt")) == (video_folder / "train.txt").read_bytes()
    with pytest.raises(LostPiece, match=r"files/nowhere\.mp4 is not there"):
        store.read(Piece("nowhere.mp4"))
    assert store.version("nowhere.mp4") is None
    there.files["files/train.txt"] = bytes(len(there.files["files/train.txt"]))  # another of the same size
    anew = BucketStore(store.address, settings(there))
    assert anew.version("train.txt") != before
    there.refuses = True
    with pytest.raises(
        StoreRefused, match=rf"could not read {store.address}/{FILE}: .*Renew the credentials"
    ) as refused:
        BucketStore(store.address, settings(there)).read(Piece(FILE))
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_account_that_is_not_named_is_said_at_once(monkeypatch, clients_made_anew):
    def refuse(*given, **options):
        raise ValueError("unable to connect to account for Must provide either a connection_string or account_name")

    monkeypatch.setattr(buckets, "check_library", lambda *given: None)
    monkeypatch.setattr("fsspec.filesystem", refuse)
    with pytest.raises(StoreRefused, match=r"could not read az://b/c/d: .* connection_string .*Renew the credentials"):
        BucketStore("az://b/c", BucketSettings(ahead=0)).read(Piece("d"))


def test_what_google_forbids_is_refused_not_asked_for_again():
    assert is_refused(OSError("Forbidden: https://storage/b/o\nno access to the object"))
    assert not is_refused(OSError("connection reset"))
