"""Where runs lie, and what they are known by."""

from tbe import runs


def test_a_run_keeps_its_id_wherever_its_folder_is_and_a_new_one_at_its_place_has_another(tmp_path):
    first = runs.identify(tmp_path / "a", is_new=True)
    assert runs.identify(tmp_path / "a", is_new=False) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert runs.identify(tmp_path / "b", is_new=False, known="other") == first
    assert runs.identify(tmp_path / "a", is_new=True) != first
    assert runs.identify(tmp_path / "b", is_new=True, known=first) != first


def test_an_old_run_keeps_its_known_id(tmp_path):
    assert runs.identify(tmp_path, is_new=False, known="0123456789ab") == "0123456789ab"
    assert runs.identify(tmp_path, is_new=False) == "0123456789ab"


def test_two_runs_of_one_name_have_two_folders(tmp_path):
    name = str(tmp_path / "runs" / "demo" / "now")
    assert [runs.claim(name) for _ in range(3)] == [name, f"{name}_1", f"{name}_2"]
