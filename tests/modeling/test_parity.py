"""The model against outputs of the official package for the same weights (shared/golden)."""

import hashlib

import numpy as np
import pytest
import torch

MODELS = ["tiny", "tiny_pad", "trained", pytest.param("vit_b", marks=pytest.mark.slow)]
IMAGES = ["astronaut", "coffee", "chelsea", "synthetic"]
CASES = [
    "fg",
    "bg",
    "corner",
    "points3",
    "pad_label",
    "box",
    "box_points",
    "mask_point",
    "mask_only",
    "box_mask",
    "batch_boxes",
    "batch_points",
]
EMBEDDING_RELATIVE, LOGITS, IOU = 1e-4, 1e-3, 1e-4


@pytest.fixture(scope="module")
def embeddings(golden):
    """Embeddings by (model, image), each computed once."""
    known = {}

    def embedding(name, image):
        if (name, image) not in known:
            sam = golden.build_model(name)
            with torch.inference_mode():
                known[name, image] = sam.encode(pixels(golden, sam, name, image)[None])[0]
        return known[name, image]

    return embedding


def pixels(golden, sam, name, image):
    """The preprocessed image: 3 x S x S."""
    resized = torch.from_numpy(golden.resized(name, image).copy())
    return sam.preprocess(resized.permute(2, 0, 1).float())


def prompts(golden, name, image, case):
    """A golden case as arguments of the prompt encoder."""
    record = golden.json(name)["images"][image]
    given = record["cases"][case]["prompt"]
    h, w = record["size"]
    new_h, new_w = record["input_size"]
    exact = torch.float32 if case.startswith("batch") else torch.float64  # as officially computed
    scale = torch.tensor([new_w / w, new_h / h], dtype=torch.float64)
    out = {"points": None, "boxes": None, "masks": None}
    coords = given.get("point_coords", given.get("batch_point_coords"))
    if coords is not None:
        labels = torch.tensor(given.get("point_labels", given.get("batch_point_labels")))
        coords = (torch.tensor(coords, dtype=exact) * scale.to(exact)).float()
        out["points"] = coords.view(-1, *coords.shape[-2:]), labels.view(-1, labels.shape[-1])
    box = given.get("box", given.get("boxes"))
    if box is not None:
        box = torch.tensor(box, dtype=exact).view(-1, 2, 2) * scale.to(exact)
        out["boxes"] = box.view(-1, 4).float()
    if given.get("mask_input"):
        out["masks"] = torch.from_numpy(golden.mask_input(name))[None]
    return out


def relative(ours, official):
    return np.abs(ours - official).max() / np.abs(official).max()


@pytest.mark.parametrize("name", ["tiny", "tiny_pad", "trained"])
def test_weights_are_the_golden_ones(golden, name):
    digest = hashlib.sha256()
    for key, value in sorted(golden.build_model(name).state_dict().items()):
        digest.update(key.encode() + value.numpy().tobytes())
    assert digest.hexdigest() == golden.json(name)["weights_sha256"]


@pytest.mark.parametrize("name", MODELS)
def test_dense_positions(golden, name):
    e = golden.json(name)["embedding_stride"]
    ours = golden.build_model(name).prompt_encoder.get_dense_pe()[0, ::e, ::e, ::e]
    assert relative(ours.numpy(), golden.arrays(name)["dense_pe"]) < 1e-5


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", MODELS)
def test_embedding(golden, embeddings, name, image):
    e = golden.json(name)["embedding_stride"]
    ours = embeddings(name, image)
    official = golden.arrays(name)[f"{image}|embedding"]
    assert relative(ours[0, ::e, ::e, ::e].numpy(), official) < EMBEDDING_RELATIVE
    stats = golden.json(name)["images"][image]["embedding_stats"]
    assert ours.double().norm().item() == pytest.approx(stats["norm"], rel=1e-5)
    assert ours.std().item() == pytest.approx(stats["std"], rel=1e-4)


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_inside_of_the_encoder(golden, name, differentiable):
    sam, official = golden.build_model(name), golden.arrays(name)
    e, s = golden.json(name)["embedding_stride"], 17 if name == "vit_b" else 5
    seen = {}

    def remember(part):
        return lambda module, args, out: seen.update({part: out.detach()[0, ::e, ::e, ::s]})

    parts = {"patch_embed": sam.image_encoder.patch_embed} | {
        f"blocks.{i}": block for i, block in enumerate(sam.image_encoder.blocks)
    }
    hooks = [module.register_forward_hook(remember(part)) for part, module in parts.items()]
    try:
        with torch.set_grad_enabled(differentiable):
            sam.image_encoder(pixels(golden, sam, name, "coffee")[None])
    finally:
        for hook in hooks:
            hook.remove()
    for part in parts:
        assert relative(seen[part].numpy(), official[f"coffee|{part}"]) < EMBEDDING_RELATIVE, part


@pytest.mark.parametrize("name", MODELS)
def test_embedded_prompts(golden, name):
    sam, official = golden.build_model(name), golden.arrays(name)
    e = golden.json(name)["embedding_stride"]
    with torch.inference_mode():
        for case in ("box_points", "pad_label"):
            sparse, _ = sam.prompt_encoder(**prompts(golden, name, "coffee", case))
            assert np.abs(sparse[0].numpy() - official[f"coffee|{case}|sparse"]).max() < 1e-4
        _, dense = sam.prompt_encoder(**prompts(golden, name, "coffee", "box_mask"))
    assert relative(dense[0, ::e, ::e, ::e].numpy(), official["coffee|box_mask|dense"]) < 1e-5


@pytest.mark.parametrize("multimask", ["multi", "single"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", MODELS)
def test_decoder(golden, embeddings, name, image, case, multimask):
    sam, official = golden.build_model(name), golden.arrays(name)
    record = golden.json(name)["images"][image]
    low, iou = decode(golden, sam, embeddings(name, image), name, image, case, multimask)
    stride = golden.json(name)["low_res_stride"]
    key = f"{image}|{case}|{multimask}"
    sampled = low[..., ::stride, ::stride].numpy()
    assert np.abs(sampled - official[f"{key}|low"]).max() < LOGITS
    assert np.abs(iou.numpy() - official[f"{key}|iou"]).max() < IOU
    expected = record["cases"][case][multimask]
    for masks, stats in zip(low, expected["low_stats"], strict=True):
        for mask, stat in zip(masks, stats, strict=True):
            assert mask.max().item() == pytest.approx(stat["max"], abs=LOGITS)
            assert mask.min().item() == pytest.approx(stat["min"], abs=LOGITS)
            assert mask.norm().item() == pytest.approx(stat["norm"], rel=1e-4)
    full = sam.postprocess_masks(low, record["input_size"], record["size"]) > sam.mask_threshold
    assert list(full.shape) == expected["shape"]
    flipped = np.abs(full.sum((-1, -2)).numpy() - np.array(expected["pixels"]))
    assert (flipped <= np.array(expected["near"])).all()
    assert flipped.max() <= 0.001 * full.shape[-1] * full.shape[-2]


def decode(golden, sam, embedding, name, image, case, multimask):
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder(**prompts(golden, name, image, case))
        pe = sam.prompt_encoder.get_dense_pe()
        return sam.mask_decoder(embedding, pe, sparse, dense, multimask == "multi")


@pytest.mark.parametrize("multimask", ["multi", "single"])
@pytest.mark.parametrize("name", MODELS)
def test_forward_with_two_images(golden, name, multimask):
    sam, official, answers = golden.build_model(name), golden.arrays(name), golden.json(name)
    points = prompts(golden, name, "coffee", "batch_points")["points"]
    boxes = prompts(golden, name, "chelsea", "batch_boxes")["boxes"][:2]
    masks = torch.from_numpy(golden.mask_input(name))[None].expand(2, -1, -1, -1)
    given = {
        "coffee": {"point_coords": points[0], "point_labels": points[1]},
        "chelsea": {"boxes": boxes, "mask_inputs": masks},
    }
    batch = []
    for image, prompt in given.items():
        resized = torch.from_numpy(golden.resized(name, image).copy()).permute(2, 0, 1)
        size = tuple(answers["images"][image]["size"])
        batch.append({"image": resized, "original_size": size, **prompt})
    with torch.inference_mode():
        outputs = sam(batch, multimask_output=multimask == "multi")
    stride = answers["low_res_stride"]
    for image, output in zip(given, outputs, strict=True):
        key = f"forward|{image}|{multimask}"
        low = output["low_res_logits"][..., ::stride, ::stride].numpy()
        assert np.abs(low - official[f"{key}|low"]).max() < LOGITS
        assert np.abs(output["iou_predictions"].numpy() - official[f"{key}|iou"]).max() < IOU
        expected = answers["forward"][image][multimask]
        assert list(output["masks"].shape) == expected["shape"]
        flipped = output["masks"].sum((-1, -2)).numpy() - np.array(expected["pixels"])
        assert np.abs(flipped).max() <= 0.001 * output["masks"][0, 0].numel()
