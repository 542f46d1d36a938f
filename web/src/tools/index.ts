/** The tools by name, and the one in hand. */

import { stopHover } from "../decoding";
import { stage } from "../scene";
import { brushSize, pen, tool, type ToolName } from "../state";
import { brushTool, eraserTool, polygonTool } from "./painting";
import { boxTool, pointTool, scribbleTool } from "./prompting";
import type { Tool } from "./tool";

const TOOLS: Record<ToolName, Tool> = {
  point: pointTool,
  box: boxTool,
  scribble: scribbleTool,
  brush: brushTool,
  eraser: eraserTool,
  polygon: polygonTool,
};

export const currentTool = (): Tool => TOOLS[tool.value];

/** Forgets a shape that is being drawn, and where a line by keys would begin. */
export function dropDrawing(): void {
  currentTool().cancel?.();
  pen.value = null;
}

export function take(name: ToolName): void {
  dropDrawing();
  stopHover();
  tool.value = name;
  stage.invalidate("cursor");
}

/** Sizes go in steps that feel even: by one while small, by a tenth when large. */
export function resizeBrush(direction: 1 | -1): void {
  const size = brushSize.value;
  const step = Math.max(1, Math.round(size / 8));
  brushSize.value = Math.min(500, Math.max(1, size + direction * step));
  stage.invalidate("cursor");
}
