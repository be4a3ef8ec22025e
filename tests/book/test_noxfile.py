"""What is published is whole, and what can't be reached costs seconds."""

import importlib.util
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def noxfile():
    spec = importlib.util.spec_from_file_location("n", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_is_replaced_whole(noxfile, tmp_path):
    made, place = tmp_path / "made", tmp_path / "out" / "html"
    made.mkdir()
    for name in ("a", "b"):
        (made / name).write_text(name)
    noxfile.publish(made, place)
    (made / "a").unlink()
    noxfile.publish(made, place)
    assert [file.name for file in place.iterdir()] == ["b"]
    assert [file.name for file in place.parent.iterdir()] == ["html"]


def test_what_is_left_of_a_broken_run_does_no_harm(noxfile, tmp_path):
    made, place = tmp_path / "made", tmp_path / "html"
    for folder in (made, tmp_path / "html.new", tmp_path / "html.old"):
        folder.mkdir()
        (folder / folder.name).touch()
    noxfile.publish(made, place)
    assert [file.name for file in place.iterdir()] == ["made"]


def test_a_failed_copy_leaves_the_last_good_output(noxfile, tmp_path):
    place = tmp_path / "html"
    place.mkdir()
    (place / "good").touch()
    with pytest.raises(FileNotFoundError):
        noxfile.publish(tmp_path / "nowhere", place)
    assert [file.name for file in place.iterdir()] == ["good"]


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_index_out_of_reach_costs_seconds(noxfile, monkeypatch, host):
    monkeypatch.setattr(noxfile, "CPU_TORCH", f"http://{host}/whl/cpu")
    start = time.perf_counter()
    assert noxfile.torch_index() == []
    assert time.perf_counter() - start < 15


def test_the_release_is_dated_by_the_citation_file(noxfile):
    stamp = time.gmtime(int(noxfile.release_time()))
    date = time.strftime("%Y-%m-%d", stamp)
    assert f'date-released: "{date}"' in (ROOT / "CITATION.cff").read_text()
