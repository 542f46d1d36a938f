/** The objects that are kept: each change goes into the list, the journal and to the server. */

import { remember } from "./gone";
import { rememberLabels } from "./labels";
import { at } from "./masks/crop";
import type { MaskCrop } from "./masks/crop";
import { replaced, type MaskObject } from "./objects";
import { seenAfter } from "./saver";
import { showObjects } from "./scene";
import { failed, image, mayChange, objects, saver } from "./state";
import type { Instance, InstanceValue } from "./types";

export const byId = (id: string): MaskObject | undefined =>
  objects.value.find(({ instance }) => instance.id === id);

/** Puts an instance into the list and on its way to the server; resolves when it is on disk here. */
export async function put(instance: Instance, mask: MaskCrop): Promise<void> {
  const opened = image.value;
  if (!opened || !mayChange()) return;
  const { id, version, editor: _editor, ...value } = instance;
  objects.value = replaced(objects.value, { instance, mask });
  rememberLabels(instance.labels);
  const change = { image: opened.id, kind: "put", instance: id, base: version, value } as const;
  await saver.value?.add(change);
}

/** Takes an object out of the list, and out of the project; undo brings it back. */
export function drop({ instance: { id }, mask }: MaskObject): void {
  const opened = image.value;
  const object = byId(id);
  if (!opened || !object || !mayChange()) return;
  const base = object.instance.version;
  remember(object);
  objects.value = objects.value.filter(({ instance }) => instance.id !== id);
  void saver.value?.add({ image: opened.id, kind: "delete", instance: id, base }).catch(failed);
  showObjects([mask]);
}

/** Changes fields of a committed object. */
export function update(object: MaskObject, fields: Partial<InstanceValue>): void {
  const now = byId(object.instance.id);
  if (!now) return;
  void put({ ...now.instance, ...fields }, now.mask).catch(failed);
  if ("hidden" in fields || "stage" in fields) showObjects([now.mask]);
}

/** The server has a newer version of an object: later changes are made on it. */
export function versionArrived(imageId: string, id: string, version: number): void {
  const opened = image.value;
  if (opened?.id !== imageId) return;
  if (opened.state === "unlabelled") image.value = { ...opened, state: "in_progress" };
  objects.value = objects.value.map((object) =>
    object.instance.id === id
      ? { ...object, instance: { ...object.instance, version } }
      : object,
  );
}

/** The server has changes of this tab, which need not be seen again before the image is submitted. */
export function changesArrived(imageId: string, version: number, changes: number): void {
  const opened = image.value;
  if (opened?.id !== imageId) return;
  image.value = { ...opened, version: seenAfter(opened.version, version, changes) };
}

/** The uppermost visible object at a place. */
export function objectAt(x: number, y: number): MaskObject | undefined {
  return objects.value.findLast(
    ({ instance, mask }) => !instance.hidden && at(mask, Math.floor(x), Math.floor(y)),
  );
}
