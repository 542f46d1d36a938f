"""What fine-tuning on thirty images brings: `python runs/finetune.py DATA RUN [SOURCE...]`.

Of each source (by itself the two new domains, dsb2018 and facades) thirty images of DATA/train are
drawn by a hash of their names; the rest, with DATA/val, are held out. The bundled model is scored
on these, fine-tuned with `samkit train --recipe finetune` on the thirty, and scored again.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from samkit.datasets.store import StoreReader, StoreWriter

IMAGES = 30


def split(data: Path, source: str, out: Path) -> None:
    """Writes the stores OUT/train and OUT/held-out, once."""
    pairs = [("train", pair) for pair in StoreReader(data / "train" / source)]
    pairs.sort(key=lambda item: hashlib.sha256(item[1].name.encode()).digest())
    if (data / "val" / source).is_dir():
        pairs += [("val", pair) for pair in StoreReader(data / "val" / source)]
    for folder, chosen in (("train", pairs[:IMAGES]), ("held-out", pairs[IMAGES:])):
        if not (out / folder).exists():
            unfinished = out / f"{folder}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            with StoreWriter(unfinished) as writer:
                for part, pair in chosen:
                    writer.write(pair.source, pair.records, name=f"{part}/{pair.name}")
            unfinished.rename(out / folder)


def samkit(*words: str) -> None:
    """Runs a command; 1 says that something was named and left out, which stops nothing."""
    code = subprocess.run([sys.executable, "-m", "samkit", *words]).returncode
    if code not in (0, 1):
        sys.exit(code)


def evaluate(model: str, out: Path, name: str, limit: int) -> dict[str, dict[str, float]]:
    """Scores on the images held out."""
    path = out / f"{name}.json"
    if not path.exists():
        words = ["evaluate", model, "--data", str(out / "held-out"), "--json", str(path)]
        words += ["--protocol", "clicks", "--protocol", "box", "--limit-images", str(limit)]
        samkit(*words)
    return json.loads(path.read_text())


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("sources", nargs="*", default=["dsb2018", "facades"])
    parser.add_argument("--init", default="default")
    parser.add_argument("--limit-images", type=int, default=60, help="of those held out")
    args, flags = parser.parse_known_args()
    for source in args.sources:
        out = args.run / source
        split(args.data, source, out)
        before = evaluate(args.init, out, "before", args.limit_images)
        began = time.monotonic()
        words = ["train", str(out / "train"), "-o", str(out / "run"), "--recipe", "finetune"]
        samkit(*words, "--init", args.init, *flags)
        minutes = (time.monotonic() - began) / 60
        after = evaluate(str(out / "run" / "model.safetensors"), out, "after", args.limit_images)
        for protocol, metric in (("clicks", "c1"), ("clicks", "c5"), ("box", "box")):
            old, new = before[protocol][metric], after[protocol][metric]
            print(f"{source:10s} {metric:4s} {old:.3f} -> {new:.3f} ({new - old:+.3f})")
        print(f"{source:10s} {minutes:.1f} minutes of training on {IMAGES} images")


if __name__ == "__main__":
    main()
