import { useState } from "preact/hooks";
import * as api from "../api";
import { project } from "../state";
import type { Exported } from "../types";

/** What each format is for; one that is not named here is offered by its name alone. */
const ABOUT: Record<string, string> = {
  sa1b: "Photographs with SA-1B's JSON: everything is kept",
  coco: "COCO instances: one JSON, masks as RLE",
  "coco-polygons": "COCO instances with outlines, for older tools",
  panoptic: "COCO panoptic: each pixel is of one object",
  yolo: "YOLO segmentation: outlines as text",
  voc: "Pascal VOC: class and object pictures",
  labelme: "labelme: a JSON for each image, exact masks",
  png: "A black and white PNG for each mask",
  labelmap: "One picture for each image, objects by number",
  parquet: "Parquet: a table of images and RLE",
  webdataset: "WebDataset: tar shards of pairs",
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Exports, and hands the file to the browser. */
async function exported(format: string): Promise<Exported> {
  const { job: id } = await api.startExport(format);
  for (let wait = 50; ; wait = Math.min(1000, wait * 1.5)) {
    const { state, error, result } = await api.job(id);
    if (state === "failed") throw new Error(error ?? "The export failed.");
    if (state === "done" && result) {
      save(await api.bytes(result.file), `${project.value?.name ?? "masks"}-${format}.zip`);
      return result;
    }
    await pause(wait);
  }
}

function save(data: ArrayBuffer, name: string): void {
  const address = URL.createObjectURL(new Blob([data], { type: "application/zip" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const counted = (count: number, what: string): string =>
  `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

function Outcome({ result }: { result: Exported }) {
  const losses = Object.entries(result.losses);
  return (
    <div data-testid="export-result" role="status">
      <p>
        In the file: {counted(result.masks, "mask")} of {counted(result.images, "image")}.
        {!losses.length && " Nothing was lost."}
      </p>
      {losses.length > 0 && (
        <>
          <p>The format {result.format} cannot hold everything:</p>
          <ul class="losses">
            {losses.map(([what, count]) => (
              <li key={what}>
                <b>{count.toLocaleString("en")}</b> {what}
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

export function Exports() {
  const [busy, setBusy] = useState<string | null>(null);
  const [result, setResult] = useState<Exported | null>(null);
  const [error, setError] = useState("");
  const begin = (format: string) => {
    setBusy(format);
    setResult(null);
    setError("");
    exported(format)
      .then(setResult, (problem: unknown) => setError(`${(problem as Error).message}`))
      .finally(() => setBusy(null));
  };
  const counts = project.value?.counts;
  return (
    <div class="exports">
      <p>
        Images that are submitted or accepted are written as a snapshot, then in the format that you
        choose, and come as one zip.
        {counts && counts.in_progress + counts.rejected > 0 && " Others are left out."}
      </p>
      <div class="formats">
        {(project.value?.formats ?? []).map((format) => (
          <button type="button" key={format} data-testid="export-format" disabled={busy !== null} onClick={() => begin(format)}>
            <b>{format}</b>
            <span>{busy === format ? "writing …" : (ABOUT[format] ?? "")}</span>
          </button>
        ))}
      </div>
      {result && <Outcome result={result} />}
      {error && <p class="bad" role="alert">{error}</p>}
    </div>
  );
}
