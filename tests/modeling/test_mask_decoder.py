"""The mask decoder: which tokens answer, and that shared and chosen work changes no number."""

import pytest
import torch

from samkit.modeling.mask_decoder import MULTI, SINGLE, MixerBlock

TOLERANCE = 1e-5


@pytest.fixture
def decoded(small, kind):
    """A model, its embedding, finer features and two prompts."""
    sam = small(kind)
    torch.manual_seed(1)
    size = sam.image_encoder.img_size
    with torch.inference_mode():
        embedding, fine = sam.encode(torch.randn(1, 3, size, size))
        boxes = torch.tensor([[2.0, 3.0, 40.0, 50.0], [10.0, 10.0, 30.0, 20.0]])
        sparse, dense = sam.prompt_encoder(boxes=boxes)
    return sam, embedding, fine, sparse, dense


def run(sam, embedding, fine, sparse, dense, multimask=True):
    pe = sam.prompt_encoder.get_dense_pe()
    with torch.inference_mode():
        return sam.mask_decoder(embedding, pe, sparse, dense, multimask, fine)


def test_shapes_of_both_kinds_of_answers(decoded):
    sam = decoded[0]
    side = sam.prompt_encoder.mask_input_size[0]
    for multimask, count in ((True, 3), (False, 1)):
        low, iou = run(*decoded, multimask)
        assert low.shape == (2, count, side, side)
        assert iou.shape == (2, count)


def test_single_is_the_first_output_token_and_multi_the_others(decoded):
    sam, embedding, fine, sparse, dense = decoded
    pe = sam.prompt_encoder.get_dense_pe()
    with torch.inference_mode():
        state = sam.mask_decoder.run_transformer(embedding, pe, sparse, dense)
        every = sam.mask_decoder.masks(state, fine=fine)
    assert every.shape[1] == state.iou.shape[1] == 4
    for multimask, tokens in ((True, MULTI), (False, SINGLE)):
        low, iou = run(*decoded, multimask)
        assert (low - every[:, tokens]).abs().max() < TOLERANCE
        assert torch.equal(iou, state.iou[:, tokens])


@pytest.mark.parametrize("prompts", [[0], [1], [1, 0], []])
def test_masks_of_chosen_prompts_only(decoded, prompts):
    sam, embedding, fine, sparse, dense = decoded
    pe = sam.prompt_encoder.get_dense_pe()
    rows = torch.tensor(prompts, dtype=torch.int64)
    with torch.inference_mode():
        state = sam.mask_decoder.run_transformer(embedding, pe, sparse, dense)
        every = sam.mask_decoder.masks(state, fine=fine)
        some = sam.mask_decoder.masks(state, slice(2, 3), fine, rows)
    assert some.shape == (len(prompts), 1, *every.shape[-2:])
    assert torch.allclose(some, every[rows, 2:3], atol=TOLERANCE)


def test_prompts_do_not_see_each_other(decoded):
    sam, embedding, fine, sparse, dense = decoded
    low, iou = run(*decoded)
    for i in range(2):
        alone, alone_iou = run(sam, embedding, fine, sparse[i : i + 1], dense[i : i + 1])
        assert (low[i] - alone[0]).abs().max() < TOLERANCE
        assert (iou[i] - alone_iou[0]).abs().max() < TOLERANCE


def test_an_expanded_dense_map_gives_what_a_full_one_gives(decoded):
    sam, embedding, fine, sparse, dense = decoded
    shared = run(*decoded)
    full = run(sam, embedding, fine, sparse, dense.clone(memory_format=torch.contiguous_format))
    assert (shared[0] - full[0]).abs().max() < TOLERANCE
    assert (shared[1] - full[1]).abs().max() < TOLERANCE


@pytest.mark.parametrize("count", [1, 2])
def test_what_prompts_share_is_what_each_would_do_alone(decoded, count):
    sam, embedding, _, sparse, dense = decoded
    pe = sam.prompt_encoder.get_dense_pe()
    sparse, dense = sparse[:count], dense[:count]
    with torch.inference_mode():
        shared = sam.mask_decoder.share(embedding, pe, dense[:1])
        expected = sam.mask_decoder.run_transformer(embedding, pe, sparse, dense)
        assert (shared is None) == sam.prompt_encoder.prompt_maps
        if shared is None:
            return
        state = sam.mask_decoder.run_transformer(embedding, pe, sparse, dense, shared)
    for name in ("mask_tokens", "iou", "image"):
        ours, theirs = getattr(state, name), getattr(expected, name)
        assert (ours - theirs).abs().max() < TOLERANCE


def test_several_images_with_one_prompt_each(small, kind):
    sam = small(kind)
    size = sam.image_encoder.img_size
    with torch.inference_mode():
        embeddings, fine = sam.encode(torch.randn(2, 3, size, size))
        boxes = torch.tensor([[2.0, 3.0, 40.0, 50.0], [10.0, 10.0, 30.0, 20.0]])
        sparse, dense = sam.prompt_encoder(boxes=boxes)
    low, iou = run(sam, embeddings, fine, sparse, dense)
    for i in range(2):
        of_one = {name: part[i : i + 1] for name, part in fine.items()}
        one = slice(i, i + 1)
        alone, alone_iou = run(sam, embeddings[one], of_one, sparse[one], dense[one])
        assert (low[one] - alone).abs().max() < TOLERANCE
        assert (iou[one] - alone_iou).abs().max() < TOLERANCE


def test_upscaling_is_the_transposed_convolutions(decoded):
    sam, embedding, fine, _, _ = decoded
    first, norm, act, second, last = sam.mask_decoder.output_upscaling
    h, w = embedding.shape[-2:]
    cells = embedding.flatten(2).transpose(1, 2)
    with torch.inference_mode():
        x = first(embedding)
        if fine:
            x = x + fine["stride_4"]
        x = second(act(norm(x)))
        if fine:
            x = x + fine["stride_2"]
        expected = last(x)  # 1 x C/8 x 4h x 4w
        ours = sam.mask_decoder._upscale(cells, (h, w), fine)  # 1 x N x 4 x 4 x C/8
    ours = ours.view(h, w, 2, 2, 2, 2, -1).permute(6, 0, 2, 4, 1, 3, 5).reshape(-1, 4 * h, 4 * w)
    assert (ours - expected[0]).abs().max() < TOLERANCE


def test_finer_features_matter_where_the_encoder_has_them(small):
    sam = small("default")
    with torch.inference_mode():
        embedding, fine = sam.encode(torch.randn(1, 3, 64, 64))
        sparse, dense = sam.prompt_encoder(boxes=torch.tensor([[2.0, 3.0, 40.0, 50.0]]))
    assert set(fine) == {"stride_4", "stride_2"}
    low, _ = run(sam, embedding, fine, sparse, dense)
    for name in fine:
        without = {key: value for key, value in fine.items() if key != name}
        assert (run(sam, embedding, without, sparse, dense)[0] - low).abs().max() > 1e-4


def test_mixer_blocks_look_further_with_each_dilation():
    for dilation in (1, 3):
        block = MixerBlock(4, dilation)
        x = torch.zeros(1, 4, 15, 15)
        at_rest = block(x).detach()
        x[0, :, 7, 7] = torch.tensor([1.0, -1.0, 2.0, 0.5])
        moved = (block(x).detach() - at_rest).abs().amax(1)[0] > 1e-6
        assert moved.nonzero().amin(0).tolist() == [7 - dilation] * 2
        assert moved.nonzero().amax(0).tolist() == [7 + dilation] * 2
