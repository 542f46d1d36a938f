/** The page's icons: lines on a 20 x 20 grid, in the colour of the text. */

const PATHS = {
  point: "M10 3v4M10 13v4M3 10h4M13 10h4M10 10h.01",
  box: "M4 5h12v10H4z",
  scribble: "M3 14c3-8 5-8 6-4s3 4 4 0 2-5 4-5",
  polygon: "M10 3l7 5-3 8H6L3 8z",
  brush: "M17 3l-8 8M9 11c-2 0-3 1-3 3 0 1-1 2-3 2 1 1 3 1 4 1 2 0 4-1 4-4z",
  eraser: "M12 4l5 5-7 7H6l-3-3zM8 8l5 5M10 16h7",
  undo: "M7 5L3 9l4 4M3 9h9a4 4 0 010 8h-2",
  redo: "M13 5l4 4-4 4M17 9H8a4 4 0 000 8h2",
  commit: "M4 11l4 4 8-10",
  cancel: "M5 5l10 10M15 5L5 15",
  left: "M12 4l-6 6 6 6",
  right: "M8 4l6 6-6 6",
  eye: "M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5zM10 12a2 2 0 100-4 2 2 0 000 4",
  hidden: "M3 3l14 14M5 6c-2 1.500-3 4-3 4s3 5 8 5c1 0 2-.2 3-.6M9 5h1c5 0 8 5 8 5s-.6 1-1.700 2.200",
  lock: "M5 9h10v8H5zM7 9V6a3 3 0 016 0v3",
  unlock: "M5 9h10v8H5zM7 9V6a3 3 0 015.800-1",
  bin: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  help: "M7 7.500a3 3 0 116 0c0 2-3 2-3 4.500M10 15.500h.01",
} as const;

export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);
