import copy
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from samkit.errors import FormatError, ImageError, UsageError
from samkit.inference.embeddings import ImageEmbedding, embed_images
from samkit.inference.predictor import SamPredictor
from samkit.modeling import VARIANTS, Sam


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    sam = Sam(VARIANTS["default"]).eval()
    sam.set_image_size(128)
    return sam


@pytest.fixture
def embedding(sam, golden):
    predictor = SamPredictor(sam)
    predictor.set_image(golden.image("coffee"))
    return predictor.embedding


def predictions(sam, embedding):
    predictor = SamPredictor(sam)
    predictor.set_embedding(embedding)
    return predictor.predict(point_coords=[[300, 200]], point_labels=[1])


def test_a_saved_embedding_predicts_as_the_image_does(sam, embedding, tmp_path):
    embedding.save(tmp_path / "a.safetensors")
    loaded = ImageEmbedding.load(tmp_path / "a.safetensors")
    assert loaded.original_size == (400, 600) and loaded.input_size == (85, 128)
    assert set(loaded.fine) == {"stride_4", "stride_2"}
    for a, b in zip(predictions(sam, embedding), predictions(sam, loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_an_embedding_in_bfloat16_still_predicts(sam, embedding, tmp_path):
    embedding.to(dtype=torch.bfloat16).save(tmp_path / "a")
    loaded = ImageEmbedding.load(tmp_path / "a")
    assert loaded.features.dtype == torch.bfloat16
    a, b = predictions(sam, embedding), predictions(sam, loaded)
    assert np.abs(a[1] - b[1]).max() < 0.05


def test_an_embedding_of_other_weights_is_refused(sam, embedding):
    other = copy.deepcopy(sam)
    with torch.no_grad():
        other.image_encoder.neck[0].weight.mul_(1.5)
    with pytest.raises(UsageError, match="another model"):
        SamPredictor(other).set_embedding(embedding)


def test_an_embedding_of_another_input_size_is_refused(sam, embedding):
    other = copy.deepcopy(sam)
    other.set_image_size(256)
    with pytest.raises(UsageError, match="shapes"):
        SamPredictor(other).set_embedding(embedding)


def test_batches_make_no_difference(sam, golden):
    images = [golden.image(name) for name in golden.images]
    singly, together = embed_images(sam, images), embed_images(sam, images, batch_size=3)
    assert len(singly) == len(together) == 4
    for a, b in zip(singly, together, strict=True):
        torch.testing.assert_close(a.features, b.features, rtol=1e-4, atol=1e-4)
        assert a.original_size == b.original_size and a.model_id == b.model_id
    with pytest.raises(ImageError):
        embed_images(sam, [np.zeros((2, 3, 4, 5), np.uint8)])
    with pytest.raises(UsageError):
        embed_images(sam, images, batch_size=0)


def hostile(tmp_path, case, embedding):
    path = tmp_path / case
    embedding.save(path)
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    if case == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif case == "no safetensors":
        path.write_bytes(b"\x80\x04 a pickle, perhaps" * 10)
    elif case == "huge header":
        path.write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
    elif case == "empty":
        path.write_bytes(b"")
    elif case == "not ours":
        save_file({"features": torch.zeros(1, 2, 3, 3)}, path)
    else:
        metadata = header["__metadata__"]
        tensors = {"features": torch.zeros(1, 2, 3, 3)}
        if case == "odd size":
            metadata["original_size"] = "400 99999999999999999999"
        elif case == "zero size":
            metadata["input_size"] = "0 5"
        elif case == "later version":
            metadata["version"] = "2"
        elif case == "odd shape":
            tensors = {"features": torch.zeros(2, 3)}
        elif case == "other tensors":
            tensors["weights"] = torch.zeros(1, 2, 3, 3)
        save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    "case",
    ["truncated", "no safetensors", "huge header", "empty", "not ours", "odd size", "zero size",
     "later version", "odd shape", "other tensors"],
)  # fmt: skip
def test_hostile_files_are_one_sentence(case, embedding, tmp_path):
    path = hostile(tmp_path, case, embedding)
    with pytest.raises(FormatError) as error:
        ImageEmbedding.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="Cannot read"):
        ImageEmbedding.load(tmp_path / "none")


def test_an_embedding_with_missing_fine_features_is_refused(sam, embedding, tmp_path):
    import dataclasses

    with pytest.raises(UsageError, match="shapes"):
        SamPredictor(sam).set_embedding(dataclasses.replace(embedding, fine={}))
