"""What is loaded is what was recorded, and a record says how it was made."""

import hashlib
import json

import pytest
import torch

from snippets import recorded


@pytest.fixture
def weights(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setattr(recorded, "WEIGHTS", folder)
    monkeypatch.setattr(recorded, "MANIFEST", folder / "manifest.json")
    return folder


def save(name, result):
    words = {"recipe": "a wait", "seed": 3, "live": "all of it"}
    recorded.save(name, lambda: result, **words)


def test_tensors_and_results_come_back(weights):
    save("run.safetensors", {"loss": torch.tensor([2.0, 1.0])})
    save("other.json", {"words": ["β", 1]})
    assert recorded.load("run.safetensors")["loss"].tolist() == [2, 1]
    assert recorded.load("other.json") == {"words": ["β", 1]}
    assert list(recorded.manifest()) == ["other.json", "run.safetensors"]


def test_the_manifest_says_how_it_was_made(weights):
    save("run.json", {"a": 1})
    data = (weights / "run.json").read_bytes()
    [entry] = json.loads((weights / "manifest.json").read_text()).values()
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert entry["size"] == len(data)
    assert entry["script"] == "training/run.py"
    assert (entry["recipe"], entry["seed"]) == ("a wait", 3)
    assert torch.__version__.startswith(entry["torch"])


def test_seconds_are_those_of_one_core(weights):
    def work():
        until = recorded.time.process_time() + 0.2
        while recorded.time.process_time() < until:
            pass
        return {"threads": torch.get_num_threads()}

    recorded.save("run.json", work, recipe="", seed=0, live="")
    assert recorded.load("run.json") == {"threads": 1}
    assert 0.2 <= recorded.seconds("run.json") < 0.5


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_another_file_is_refused(weights, change):
    save("run.json", {"a": 1})
    file = weights / "run.json"
    file.write_text('{"a": 2}') if change == "edit" else file.unlink()
    with pytest.raises(ValueError, match=r"python training/run\.py"):
        recorded.load("run.json")


def test_unknown_names_and_formats_are_refused(weights):
    save("run.json", {"a": 1})
    with pytest.raises(ValueError, match=r"'run' was not .* was: run\.json"):
        recorded.load("run")
    with pytest.raises(ValueError, match=r"safetensors or NAME\.json"):
        save("run.pt", {})
