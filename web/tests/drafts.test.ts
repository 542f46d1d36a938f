import "fake-indexeddb/auto";
import { expect, it } from "vitest";
import { Drafts, type KeptDraft } from "../src/drafts";

const kept = (tab: string, id: string, at: number, image = "i1"): KeptDraft => ({
  project: "project",
  image,
  tab,
  id,
  origin: null,
  rle: { size: [2, 2], counts: "4" },
  predicted_iou: null,
  prompts: [{ kind: "brush" }],
  labels: [],
  seconds: 3,
  at,
});

it("a tab finds its own draft first, then the newest of tabs that are closed", async () => {
  const drafts = await Drafts.open();
  for (const draft of [kept("open", "a", 5), kept("closed", "b", 1), kept("closed", "c", 2)]) {
    await drafts.keep(draft);
  }
  await drafts.keep(kept("me", "d", 0));
  await drafts.keep(kept("me", "elsewhere", 9, "i2"));
  const find = async () => (await drafts.left("project", "i1", "me", (tab) => tab === "open"))?.id;
  expect(await find()).toBe("d");
  await drafts.forget(kept("me", "d", 0));
  expect(await find()).toBe("c");
  await drafts.adopt(kept("closed", "c", 2), "me");
  await drafts.forget(kept("closed", "b", 1));
  expect(await find()).toBe("c");
  await drafts.forget(kept("me", "c", 2));
  expect(await find()).toBeUndefined();
});

it("a draft that changes is kept as it is now", async () => {
  const drafts = await Drafts.open("changes");
  await drafts.keep(kept("me", "a", 1));
  await drafts.keep({ ...kept("me", "a", 2), labels: ["cat"] });
  expect(await drafts.left("project", "i1", "me", () => false)).toMatchObject({ labels: ["cat"], seconds: 3 });
});
