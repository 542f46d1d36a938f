"""What is done with masks that needs no model: RLE, boxes, NMS, stability, regions, crops.

`rle`, `regions`, `components` and `crops` work on numpy arrays; `boxes`, `nms` and `stability`,
which the automatic mask generator runs on the model's device, work on torch tensors.
"""
