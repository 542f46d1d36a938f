"""The four functions of torchvision that segment-anything 1.0 calls, for comparisons only.

Written for samkit's benchmarks, so that the official package runs where torchvision is not
installed. Not a replacement for torchvision in anything else.
"""
