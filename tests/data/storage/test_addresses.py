import pytest

from benchmarks.common.bucket import SECRET
from tbe.data.storage import addresses
from tbe.data.storage.addresses import check_address, check_addresses, check_library, is_address


@pytest.mark.parametrize(
    "address",
    [f"s3://key:{SECRET}@bucket/videos", f"https://host/videos?X-Amz-Signature={SECRET}", f"https://host/v#{SECRET}"],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address):
    with pytest.raises(ValueError, match=r"data\.root: expected an address without credentials") as refused:
        check_addresses({"root": address, "splits": {"train": "train.txt"}})
    assert SECRET not in str(refused.value)


def test_addresses_are_told_from_paths():
    assert not any(map(is_address, ("/data/k400", "k400", "C:/videos", "a:b//c")))
    for address in ("s3://bucket", "gs://bucket/a b", "az://container/a", "hf://datasets/a/b", "https://host/a"):
        assert is_address(address)
        check_address(address, "data.root")
    with pytest.raises(
        ValueError, match=r"data\.root: expected a folder, or an address with one of s3://, .* got ftp://"
    ):
        check_address("ftp://host/a", "data.root")


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(addresses, "find_spec", lambda package: None if package == "gcsfs" else package)
    check_library("s3://bucket", "data.root")
    with pytest.raises(ValueError, match=r"data\.root=gs://b: expected the package gcsfs.*pip install -e '\.\[gs\]'"):
        check_library("gs://b", "data.root")
