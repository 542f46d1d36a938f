"""All comparisons with segment-anything 1.0, one after the other: `make bench`.

python benchmarks/run.py --official PYTHON [--quick]
"""

import sys

import automatic_masks
import decoder
import encoder
import memory


def main() -> int:
    """1 where any bar is missed."""
    missed = [part.main(sys.argv[1:]) for part in (encoder, memory, decoder, automatic_masks)]
    return max(missed)


if __name__ == "__main__":
    sys.exit(main())
