"""One image, many prompts: the official `SamPredictor`, and what people missed in it.

The image is embedded once; each call then only runs the light decoder. Results are detached, but
ordinary tensors (made under `torch.no_grad`), so that a decoder may be trained on them.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.checkpoints.identity import model_id
from samkit.errors import UsageError
from samkit.inference import prompts as prompting
from samkit.inference.decoding import decode, prompts_at_once, upscaler_of
from samkit.inference.embeddings import ImageEmbedding, require_fit, to_chw
from samkit.inference.mask_prompts import as_mask_input, boxes_of
from samkit.inference.memory import memory_left
from samkit.inference.prompts import Prompts, as_array
from samkit.inference.transforms import ResizeLongestSide, Size
from samkit.inference.upscaling import Upscaler
from samkit.masks.regions import remove_small_regions as without_small
from samkit.modeling import Sam
from samkit.modeling.prompt_encoder import LABEL_BOTTOM_RIGHT, LABEL_TOP_LEFT
from samkit.pixels import from_array

BATCH_BYTES = 1 << 28
"""Of full-size masks that `SamPredictor.predict_batches` makes at once, unless told otherwise."""


class ImageNotSet(UsageError, RuntimeError):
    """A prediction was asked for before there was an image (officially a RuntimeError)."""


class Prediction(NamedTuple):
    """Masks of some sets of prompts."""

    masks: NDArray[Any]
    """b x K x H x W bool, or float32 logits where these were asked for."""
    scores: NDArray[np.float32]
    """b x K predicted IoU."""
    low_res: NDArray[np.float32]
    """b x K x n x n logits."""


class SamPredictor:
    """Masks for prompts on one image at a time. Coordinates are pixels of the original image."""

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)
        self.reset_image()

    def reset_image(self) -> None:
        """Forgets the image."""
        self.is_image_set = False
        self.features: Tensor | None = None
        self._embedding: ImageEmbedding | None = None
        self._upscaler: Upscaler | None = None
        self.original_size: Size | None = None
        self.input_size: Size | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def set_image(self, image: NDArray[Any], image_format: str = "RGB") -> None:
        """Embeds an image, so that prompts can be answered.

        image: H x W x 3 uint8, or what else `samkit.pixels.from_array` converts (gray, alpha,
            16 bits, floats). image_format: "RGB" or "BGR", the order of the channels.
        Raises ImageError for other arrays.
        """
        if image_format not in ("RGB", "BGR"):
            raise UsageError(f'image_format must be "RGB" or "BGR", not {image_format!r}.')
        image = np.asarray(image)
        if image_format != self.model.image_format and image.ndim == 3:
            image = np.concatenate([image[..., 2::-1], image[..., 3:]], axis=-1)
        pixels = from_array(image)
        resized = self.transform.apply_image(pixels)
        height, width = pixels.shape[:2]
        self.set_torch_image(to_chw(resized, self.device)[None], (height, width))

    @torch.no_grad()
    def set_torch_image(
        self, transformed_image: Tensor, original_image_size: tuple[int, ...]
    ) -> None:
        """Embeds an image that is already resized: 1 x 3 x h x w, 0 to 255, longer side img_size.

        original_image_size: (H, W) of the image that prompts and masks refer to.
        """
        size = self.model.image_encoder.img_size
        shape = tuple(transformed_image.shape)
        if len(shape) != 4 or shape[:2] != (1, 3) or max(shape[2:]) != size:
            raise UsageError(
                f"set_torch_image needs a 1x3xHxW tensor with longer side {size}, not {shape}; "
                "resize it with ResizeLongestSide or call set_image."
            )
        self.reset_image()
        features, fine = self.model.encode(self.model.preprocess(transformed_image.to(self.device)))
        height, width = original_image_size
        self._set(ImageEmbedding(features, (height, width), (shape[2], shape[3]), "", fine))

    def set_embedding(self, embedding: ImageEmbedding) -> None:
        """Takes an embedding that was made before, by this model; UsageError if by another one."""
        require_fit(embedding, self.model)
        self._set(embedding.to(self.device, self.model.dtype))

    @property
    def embedding(self) -> ImageEmbedding:
        """The embedding of the image that is set, to be kept, saved or moved."""
        embedding = self._require_image()
        return ImageEmbedding(
            embedding.features,
            embedding.original_size,
            embedding.input_size,
            model_id(self.model),
            embedding.fine,
        )

    def get_image_embedding(self) -> Tensor:
        """The embedding's tensor, 1 x C x h x w."""
        return self._require_image().features

    def predict(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        box: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool | None = True,
        return_logits: bool = False,
        *,
        remove_small_regions: int = 0,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Masks for one set of prompts, all meaning the same object.

        point_coords: N x 2 (x, y); point_labels: N of 1 (foreground), 0 (background); also 2 and 3
            (corners of a box) and -1 (none). box: XYXY. mask_input: low-res logits 1 x n x n of
            an earlier call, or a mask of your own, H x W bool (see `mask_prompt`), which comes with
            its box where no box is given.
        multimask_output: True for three candidates, False for the single mask, None for the
            paper's rule (section 3): three for one prompt, the single one for several.
        return_logits: logits instead of bool masks.
        remove_small_regions: fill holes and drop specks under so many pixels (bool masks only).
        Returns masks K x H x W, predicted IoU K, low-res logits K x n x n.
        """
        coords = as_array(point_coords, "point_coords", np.float64)
        labels = as_array(point_labels, "point_labels", np.int64)
        corners = as_array(box, "box", np.float64)
        if corners is not None and corners.size != 4:
            raise UsageError(
                f"box must be one box (x0, y0, x1, y1), not {corners.shape}; "
                "predict_many takes several."
            )
        masks, scores, low_res = self.predict_many(
            None if coords is None else coords[None],
            None if labels is None else labels[None],
            None if corners is None else corners.reshape(1, 4),
            None if mask_input is None else np.asarray(mask_input)[None],
            multimask_output,
            return_logits,
            remove_small_regions=remove_small_regions,
        )
        return masks[0], scores[0], low_res[0]

    def predict_many(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        boxes: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool | None = True,
        return_logits: bool = False,
        *,
        remove_small_regions: int = 0,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Masks for B sets of prompts at once, each meaning its own object.

        point_coords: B x N x 2, or N x 2 for all sets alike; point_labels: B x N, or N; boxes:
            B x 4; mask_input: B x 1 x n x n logits or B x H x W bool. One row serves all sets
            where the others have more. The rest as in `predict`.
        Returns masks B x K x H x W, predicted IoU B x K, low-res logits B x K x n x n; UsageError
        where there is no memory for so many masks (`predict_batches` needs less).
        """
        prompts = self._prompts(point_coords, point_labels, boxes, mask_input)
        masks, scores, low_res = self._predict(prompts, multimask_output, return_logits)
        return _as_arrays(masks, scores, low_res, remove_small_regions)

    @torch.no_grad()
    def predict_batches(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        boxes: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool | None = True,
        return_logits: bool = False,
        *,
        remove_small_regions: int = 0,
        chunk: int | None = None,
    ) -> Iterator[Prediction]:
        """As `predict_many`, but a few sets at a time, for those who cannot hold all masks.

        chunk: how many; by default what suits the device, and no more than `BATCH_BYTES` hold.
        """
        if chunk is not None and chunk < 1:
            raise UsageError(f"chunk must be at least 1, not {chunk}.")
        embedding = self._require_image()
        height, width = embedding.original_size
        prompts = self._prompts(point_coords, point_labels, boxes, mask_input)
        multimask = prompts.ambiguous() if multimask_output is None else multimask_output
        dtype = torch.float32 if return_logits else torch.bool
        if chunk is None:
            of_a_set = self._masks_of_a_set(multimask) * height * width * dtype.itemsize
            chunk = max(1, min(prompts_at_once(self.model), BATCH_BYTES // of_a_set))
        for low, iou in decode(self.model, embedding, prompts, multimask, chunk):
            masks = self._empty((*low.shape[:2], height, width), dtype)
            self._enlarge(low, masks)
            yield _as_arrays(masks, iou, low, remove_small_regions)

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool | None = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks for B sets of prompts in pixels of the model's input (see `transform`).

        point_coords: B x N x 2, point_labels: B x N, boxes: B x 4, mask_input: B x 1 x n x n
        logits; one row serves all sets where the others have more. Thousands of sets are decoded a
        few at a time; what the result itself needs is B x K x H x W bytes (`predict_batches`
        spares that), and UsageError is raised where there is not so much memory.
        Returns masks B x K x H x W bool (or logits), predicted IoU B x K, low-res B x K x n x n.
        """
        self._require_image()
        prompts = prompting.checked(self.model, point_coords, point_labels, boxes, mask_input)
        return self._predict(prompts, multimask_output, return_logits)

    def _prompts(
        self,
        point_coords: NDArray[Any] | None,
        point_labels: NDArray[Any] | None,
        boxes: NDArray[Any] | None,
        mask_input: NDArray[Any] | None,
    ) -> Prompts:
        """Prompts in pixels of the original image, as those of the model's input."""
        size = self._require_image().original_size
        coords = as_array(point_coords, "point_coords", np.float64)
        labels = as_array(point_labels, "point_labels", np.int64)
        corners = as_array(boxes, "boxes", np.float64)
        logits = as_mask_input(mask_input, self.model, size)
        boxes_of_masks = corners is None and not _hold_corners(labels)
        if boxes_of_masks:
            corners = boxes_of(mask_input)
        if coords is not None:
            coords = coords[None] if coords.ndim == 2 else coords
            coords = self.transform.apply_coords(coords, size)
        if labels is not None and labels.ndim == 1:
            labels = labels[None]
        if corners is not None:
            corners = np.atleast_2d(corners)
            if corners.shape[-1] != 4 or corners.ndim != 2:
                raise UsageError(f"boxes must be Bx4 (x0, y0, x1, y1), not {corners.shape}.")
            corners = self.transform.apply_boxes(corners, size)
        prompts = prompting.checked(
            self.model,
            _tensor(coords),
            None if labels is None else torch.from_numpy(labels),
            _tensor(corners),
            _tensor(logits),
        )
        return dataclasses.replace(prompts, boxes_of_masks=boxes_of_masks)

    @torch.no_grad()
    def _predict(
        self, prompts: Prompts, multimask_output: bool | None, return_logits: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        embedding = self._require_image()
        multimask = prompts.ambiguous() if multimask_output is None else multimask_output
        b, k = len(prompts), self._masks_of_a_set(multimask)
        n = self.model.prompt_encoder.mask_input_size[0]
        dtype = torch.float32 if return_logits else torch.bool
        shape, low_shape = (b, k, *embedding.original_size), (b, k, n, n)
        masks = self._empty(shape, dtype, besides=math.prod(low_shape) * torch.float32.itemsize)
        low_res = self._empty(low_shape, torch.float32)
        scores = torch.empty(b, k, device=self.device)
        done = 0
        for low, iou in decode(self.model, embedding, prompts, multimask):
            rows = slice(done, done + len(low))
            low_res[rows], scores[rows] = low, iou
            self._enlarge(low, masks[rows])
            done += len(low)
        return masks, scores, low_res

    def _masks_of_a_set(self, multimask: bool) -> int:
        return self.model.mask_decoder.num_mask_tokens - 1 if multimask else 1

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype, besides: int = 0) -> Tensor:
        """Room for a result; UsageError where there is none, or none for further bytes besides."""
        needed = math.prod(shape) * dtype.itemsize
        try:
            if self.device.type == "cpu" and needed + besides > memory_left():
                raise MemoryError
            return torch.empty(shape, dtype=dtype, device=self.device)
        except (MemoryError, RuntimeError) as error:
            raise UsageError(
                f"There is no memory for the {needed / 1e9:.1f} GB of {shape[0]} x {shape[1]} "
                f"masks of {shape[3]} x {shape[2]} pixels; predict_batches gives a few at a time."
            ) from error

    def _set(self, embedding: ImageEmbedding) -> None:
        self._embedding = embedding
        self._upscaler = upscaler_of(self.model, embedding, self.device)
        self.features = embedding.features
        self.original_size, self.input_size = embedding.original_size, embedding.input_size
        self.is_image_set = True

    def _require_image(self) -> ImageEmbedding:
        if self._embedding is None:
            raise ImageNotSet(
                "No image is set; call set_image, set_torch_image or set_embedding first."
            )
        return self._embedding

    def _enlarge(self, low: Tensor, out: Tensor) -> None:
        """Full-size masks or logits, as `out` is bool or not: b x K x n x n to b x K x H x W."""
        assert self._upscaler is not None  # set together with the image
        if out.dtype == torch.bool:
            self._upscaler.masks(low.flatten(0, 1), self.model.mask_threshold, out.flatten(0, 1))
        else:
            self._upscaler.logits(low.flatten(0, 1), out.flatten(0, 1))


def _as_arrays(masks: Tensor, scores: Tensor, low_res: Tensor, least_region: int) -> Prediction:
    """Results as numpy arrays; bool masks without holes and specks under `least_region` pixels."""
    result = masks.cpu().numpy()
    if least_region and masks.dtype == torch.bool:
        for row in result.reshape(-1, *result.shape[2:]):
            row[:] = without_small(row, least_region, "holes")[0]
            row[:] = without_small(row, least_region, "islands")[0]
    return Prediction(result, scores.cpu().numpy(), low_res.cpu().numpy())


def _hold_corners(labels: NDArray[np.int64] | None) -> bool:
    """Whether there is a box among points."""
    return labels is not None and bool(np.isin(labels, (LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT)).any())


def _tensor(array: NDArray[Any] | None) -> Tensor | None:
    """Prompts as float32, which is how single calls officially go in."""
    return None if array is None else torch.from_numpy(array.astype(np.float32))
