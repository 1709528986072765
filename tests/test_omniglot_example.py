"""The Omniglot example: its loader, its split, its episodes, and that a query image alone is alone."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autometa.adaptation import InnerLoop, Learner, learner
from autometa.errors import InputError

sys.path.append(str(Path(__file__).parents[1] / "examples"))

import omniglot
from omniglot_algorithms import ALGORITHMS, TRAININGS
from omniglot_classifiers import WAYS, by_adaptation, by_features, nearest, squared_distances, tuned_head
from omniglot_data import Split, check_apart, distorted, episodes, load
from omniglot_network import FEATURES, features, start

DRAWINGS = 20
DATA = Path(os.environ.get("AUTOMETA_DATA", "")) / "images"


def characters(count, *, seed=0):
    """Each a random pattern of blocks, drawn with noise: (count, 20, 28, 28) bytes."""
    random = np.random.default_rng(seed)
    pattern = np.kron(random.integers(2, size=(count, 1, 7, 7)), np.ones((4, 4), dtype=int))
    noise = random.integers(2, size=(count, DRAWINGS, 28, 28))
    return (200 * pattern + 55 * noise).astype(np.uint8)


def small_set(path, alphabets, *, each=5):
    """A file like those of the small sets."""
    images = characters(each * len(alphabets), seed=len(alphabets[0]))
    np.savez(
        path,
        X=images.reshape(-1, 28, 28),
        y=np.repeat(np.arange(len(images)), DRAWINGS),
        alphabet=np.repeat(np.arange(len(alphabets)), each * DRAWINGS),
        alphabet_names=np.array(alphabets),
    )


def unpacked(folder, alphabets, *, ink_at):
    """A part of the full set: two characters of two drawings each, a black square on white."""
    for alphabet in alphabets:
        for number in (1, 2):
            into = folder / alphabet / f"character{number:02d}"
            into.mkdir(parents=True)
            for drawing in (1, 2):
                page = np.full((105, 105), True)
                page[ink_at, ink_at] = False
                Image.fromarray(page).save(into / f"{number:04d}_{drawing:02d}.png")


@pytest.fixture
def small_sets(tmp_path):
    small_set(tmp_path / "omniglot_small1.npz", ["Greek", "Korean", "Latin"])
    small_set(tmp_path / "omniglot_small2.npz", [" greek ", "Tagalog", "LATIN"])
    return tmp_path


def test_small_sets_are_split_by_alphabet(small_sets):
    split = load(small_sets)
    assert [len(side) for side in (split.train, split.validation, split.test)] == [4 * 10, 5, 5]
    assert torch.equal(split.train[10:20], torch.rot90(split.train[:10], 1, (2, 3)))
    with np.load(small_sets / "omniglot_small1.npz") as file:
        wanted = torch.from_numpy(file["X"].reshape(15, DRAWINGS, 28, 28))
    assert torch.equal(split.validation, wanted[5:10])  # Korean, the second of the three
    assert torch.equal(split.train[:10], torch.cat([wanted[:5], wanted[10:]]))


def test_the_full_set_is_read_from_its_folder(tmp_path):
    unpacked(tmp_path / "images_background", ["A", "B", "C"], ink_at=slice(0, 30))
    unpacked(tmp_path / "images_evaluation", ["D"], ink_at=slice(75, 105))
    split = load(tmp_path)
    assert [tuple(side.shape) for side in (split.train, split.validation, split.test)] == [
        (4 * 4, 2, 28, 28),
        (2, 2, 28, 28),
        (2, 2, 28, 28),
    ]
    assert split.train.dtype == torch.uint8
    assert (split.train[0, 0, :8, :8] == 255).all()
    assert (split.train[0, 0, 9:, 9:] == 0).all()
    assert (split.test[0, 0, 20:, 20:] == 255).all()


def test_an_alphabet_on_two_sides_is_an_error(tmp_path):
    with pytest.raises(InputError, match="alphabets of their own"):
        check_apart([["Greek"], ["Korean"], ["greek "]])
    unpacked(tmp_path / "images_background", ["A", "B"], ink_at=slice(9))
    unpacked(tmp_path / "images_evaluation", ["a"], ink_at=slice(9))
    with pytest.raises(InputError, match=r"\['a'\]"):
        load(tmp_path)


def test_a_folder_without_data_is_an_error(tmp_path):
    with pytest.raises(InputError, match="--data"):
        load(tmp_path)
    (tmp_path / "images_background").mkdir()
    with pytest.raises(InputError, match="folder for each alphabet"):
        load(tmp_path)


def test_unequal_characters_are_an_error(tmp_path):
    unpacked(tmp_path / "images_background", ["A", "B"], ink_at=slice(9))
    next((tmp_path / "images_background" / "A").rglob("*.png")).unlink()
    with pytest.raises(InputError, match="same number of drawings"):
        load(tmp_path)


def test_episodes_follow_from_their_seed():
    some = torch.from_numpy(characters(12))

    def drawn(seed):
        return episodes(some, torch.Generator().manual_seed(seed), tasks=3, ways=WAYS, shots=2, queries=4)

    (support, at), (query, on) = drawn(0)
    assert support.shape == (3, WAYS * 2, 28, 28)
    assert query.shape == (3, WAYS * 4, 28, 28)
    assert torch.equal(support, drawn(0).support[0])
    assert not torch.equal(support, drawn(1).support[0])
    # blocks tell the characters apart, noise the drawings of one
    block = (support > 0.5).flatten(2), (query > 0.5).flatten(2)
    same = (block[1][:, :, None] == block[0][:, None]).all(dim=3)
    assert torch.equal(same, on[:, :, None] == at[:, None])
    assert not (query[:, :, None] == support[:, None]).flatten(3).all(dim=3).any()
    with pytest.raises(InputError, match="ask for fewer"):
        episodes(some, torch.Generator(), tasks=1, ways=13, shots=1, queries=1)
    with pytest.raises(InputError, match="ask for fewer"):
        episodes(some, torch.Generator(), tasks=1, ways=5, shots=10, queries=11)


def test_distortion_is_slight_and_follows_from_its_seed():
    images = torch.zeros(4, 3, 28, 28)
    images[..., 10:18, 10:18] = 1
    moved = distorted(images, torch.Generator().manual_seed(0))
    assert torch.equal(moved, distorted(images, torch.Generator().manual_seed(0)))
    assert 0.005 < float((moved - images).abs().mean()) < 0.1


def test_batches_of_reptiles_steps_are_balanced_and_apart():
    one = TRAININGS["reptile"]
    (images, labels), _ = one.draw(torch.from_numpy(characters(8)), torch.Generator().manual_seed(0), 1)
    assert images.shape[1:] == (one.inner.steps, 2 * WAYS, 28, 28)
    assert torch.equal(labels, torch.arange(WAYS).repeat_interleave(2).expand_as(labels))
    flat = images[0].flatten(0, 1).flatten(1)
    assert len(flat.unique(dim=0)) == len(flat)


def test_distances_are_squared_differences():
    x, y = torch.randn(4, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    assert torch.allclose(squared_distances(x, y), ((x[:, None] - y) ** 2).sum(dim=2))


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("means", [True, False])
def test_nearest_neighbours_by_hand(cosine, means):
    support, query = torch.randn(2 * WAYS, 3), torch.randn(7, 3)
    labels = torch.arange(WAYS).repeat_interleave(2)
    x, q = (torch.nn.functional.normalize(z) if cosine else z for z in (support, query))
    distances = torch.cdist(q, x.unflatten(0, (WAYS, 2)).mean(dim=1) if means else x)
    wanted = distances.argmin(dim=1) if means else labels[distances.argmin(dim=1)]
    assert torch.equal(nearest(cosine=cosine, means=means)(support, labels, query).argmax(dim=1), wanted)


def test_a_tuned_head_fits_its_support_set():
    support, labels = torch.randn(WAYS, FEATURES), torch.arange(WAYS)
    assert torch.equal(tuned_head(steps=50, rate=0.01)(support, labels, support).argmax(dim=1), labels)


@pytest.mark.parametrize(
    "classify",
    [by_adaptation(InnerLoop(steps=2, rate=0.1)), by_features(nearest(cosine=False, means=True))],
    ids=["adapted", "compared"],
)
def test_alone_the_other_query_images_do_not_matter(classify):
    begin = learner(start(WAYS, 0), InnerLoop())
    (support, (images, _)) = episodes(
        torch.from_numpy(characters(6)), torch.Generator().manual_seed(0), tasks=1, ways=WAYS, shots=1, queries=2
    )
    of_one = (support[0][0], support[1][0])
    with torch.no_grad():
        alone = classify(begin, of_one, images[0], alone=True)
        without = classify(begin, of_one, images[0, :3], alone=True)
        together, fewer = (classify(begin, of_one, some, alone=False) for some in (images[0], images[0, :3]))
    assert torch.allclose(alone[:3], without, atol=1e-4)
    assert not torch.allclose(together[:3], fewer, atol=1e-2)


def test_alone_is_together_with_the_support_set():
    params = start(WAYS, 0)
    support, image = torch.rand(WAYS, 28, 28), torch.rand(28, 28)
    found = features(params, torch.cat([support, image[None]]))
    wanted = -(torch.cdist(found[WAYS:], found[:WAYS]) ** 2)
    classify = by_features(nearest(cosine=False, means=False))
    scores = classify(Learner(params, {}), (support, torch.arange(WAYS)), image[None], alone=True)
    assert torch.allclose(scores, wanted, rtol=1e-3, atol=1e-3)


def run(data, out, *more):
    omniglot.main(["--data", str(data), "--out", str(out), "--episodes", "4", "--seeds", "1", "--shots", "1", *more])


def test_pixels_from_start_to_end(small_sets, monkeypatch):
    monkeypatch.setattr(omniglot, "VALIDATION", 4)
    out = small_sets / "out"
    run(small_sets, out, "--algorithms", "pixels")
    assert "nearest neighbour on pixels" in (out / "omniglot-1.md").read_text(encoding="utf-8")
    assert (out / "omniglot-1.png").stat().st_size > 0


@pytest.mark.slow
def test_trainings_from_start_to_end(small_sets, monkeypatch, capsys):
    monkeypatch.setattr(omniglot, "VALIDATION", 4)
    out = small_sets / "out"
    names = ["maml", "reptile", "protonet", "nearest", "head"]
    run(small_sets, out, "--steps", "3", "--algorithms", *names)
    assert capsys.readouterr().out.count("step 3 of 3") == 4  # nearest and head share a pretraining
    table = (out / "omniglot-1.md").read_text(encoding="utf-8")
    assert all(ALGORITHMS[name].title in table for name in names)
    run(small_sets, out, "--steps", "3", "--algorithms", *names)
    assert "step 3" not in capsys.readouterr().out
    assert (out / "omniglot-1.md").read_text(encoding="utf-8") == table


@pytest.mark.skipif(not (DATA / "omniglot_small1.npz").is_file(), reason="AUTOMETA_DATA names no folder with Omniglot")
def test_the_small_sets_as_they_are():
    split = load(DATA)
    assert isinstance(split, Split)
    assert [len(side) for side in (split.train, split.validation, split.test)] == [4 * 114, 22, 106]
    assert all(0.05 < float(side.float().mean()) / 255 < 0.12 for side in (split.train, split.validation, split.test))
