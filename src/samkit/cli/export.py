"""`samkit export`: a model as ONNX graphs."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from samkit.cli.flags import Flag
from samkit.cli.progress import waiting
from samkit.errors import UsageError

_HELP = """
--decoder writes OUT/decoder.onnx, OUT/image.onnx and OUT/constants.json: what the annotator's page
runs in the browser. --encoder writes OUT/encoder.onnx. docs/export.md tells how they are used.

Example: samkit export default --decoder -o decoder/
"""

app = App(
    name="export",
    usage="Usage: samkit export MODEL --decoder -o OUT [OPTIONS]",
    help_epilogue=_HELP,
)


@app.default
def export(
    model: str,
    /,
    *,
    decoder: Flag = False,
    encoder: Flag = False,
    opset: int | None = None,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
) -> None:
    """Write a model's parts as ONNX graphs in float32, for programs without torch.

    Parameters
    ----------
    model
        A name that `samkit models` lists, or the path of a checkpoint of any known format.
    decoder
        Prompts to masks, in two graphs, with every number and rule that goes with them.
    encoder
        A preprocessed image to its embedding.
    opset
        Version of ONNX's operators; by itself the one that the annotator's page runs.
    out
        The folder that the files are written to.
    """
    if not decoder and not encoder:
        raise UsageError("Say what to export: --decoder, --encoder or both.")
    with waiting(f"Exporting the model {model}"):
        from samkit.checkpoints.loading import load
        from samkit.export import write_decoder, write_encoder
        from samkit.export.tracing import OPSET

        opset = OPSET if opset is None else opset
        sam = load(model, device="cpu", dtype="float32")
        written = write_decoder(sam, out, opset=opset) if decoder else []
        written += write_encoder(sam, out, opset=opset) if encoder else []
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
