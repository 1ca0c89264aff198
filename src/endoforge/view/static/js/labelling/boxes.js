/** Boxes of a frame, as plain values: what is done to them makes new ones. */

const LEAST_SIDE_PX = 2;

/** The polyps that have a box. */
export const seen = (polyps) => polyps.filter((polyp) => polyp.bbox_px);

/** The class of a polyp; a label without one is of a polyp. */
export const classOf = (polyp) => polyp.label || "polyp";

/** Whether nobody has looked at it yet. */
export const isGuess = (polyp) => Boolean(polyp.suggested) || (polyp.source === "predicted" && !polyp.reviewed);

/** A polyp that was drawn by hand. */
export function drawn(box, label, polypId) {
  return { center_world: [0, 0, 0], bbox_px: box, bbox_norm: null, label, polyp_id: polypId, source: "annotated", reviewed: true };
}

/** The polyp with something changed by hand: it is no prediction any more. */
export function changed(polyp, fields) {
  const { suggested: _, ...rest } = polyp;
  return { ...rest, score: null, source: "annotated", reviewed: true, ...fields };
}

/** Two corners as a box of whole pixels within the picture, or null if too little is left. */
export function boxBetween([ax, ay], [bx, by], [width, height]) {
  const at = (value, most) => Math.round(Math.max(0, Math.min(most, value)));
  const box = [at(Math.min(ax, bx), width), at(Math.min(ay, by), height), at(Math.max(ax, bx), width), at(Math.max(ay, by), height)];
  return box[2] - box[0] >= LEAST_SIDE_PX && box[3] - box[1] >= LEAST_SIDE_PX ? box : null;
}

/** The box moved as far as the picture goes. */
export function shifted([x0, y0, x1, y1], dx, dy, [width, height]) {
  const by = (low, high, most, way) => Math.round(Math.max(-low, Math.min(most - high, way)));
  const [mx, my] = [by(x0, x1, width, dx), by(y0, y1, height, dy)];
  return [x0 + mx, y0 + my, x1 + mx, y1 + my];
}

/** The box with its right and lower edges moved. */
export function grown([x0, y0, x1, y1], dx, dy, [width, height]) {
  const at = (low, high, most, way) => Math.max(low + LEAST_SIDE_PX, Math.min(most, high + way));
  return [x0, y0, at(x0, x1, width, dx), at(y0, y1, height, dy)];
}

/** The box with the edges that a handle holds ("nw", "e", ...) drawn to a point. */
export function resized(box, handle, [x, y], size) {
  const [x0, y0, x1, y1] = box;
  const a = [handle.includes("w") ? x : x0, handle.includes("n") ? y : y0];
  const b = [handle.includes("e") ? x : x1, handle.includes("s") ? y : y1];
  return boxBetween(a, b, size) ?? box;
}

/** What is saved of a draft: suggestions that nobody has accepted aren't. */
export function savedPart({ polyps, reviewed, overrule }) {
  const kept = polyps.filter((polyp) => !polyp.suggested);
  return { polyp_labels: kept, reviewed, overrule: Boolean(overrule) };
}

/** A label as it is saved, as a draft. */
export const draftOf = ({ polyp_labels: polyps, reviewed, overrule }) => ({ polyps, reviewed, overrule });

/** Whether two drafts save the same boxes, by place, class and number. */
export function isSame(one, other) {
  const told = (draft) => JSON.stringify([Boolean(draft.reviewed), seen(savedPart(draft).polyp_labels)
    .map((polyp) => [polyp.bbox_px.map((edge) => Math.round(100 * edge)), classOf(polyp), polyp.polyp_id ?? null])]);
  return told(one) === told(other);
}

/** The draft with all of its boxes accepted. */
export function accepted(draft) {
  const polyps = draft.polyps.map(({ suggested: _, ...polyp }) =>
    polyp.source === "predicted" || polyp.source === "annotated" ? { ...polyp, reviewed: true } : polyp);
  return { ...draft, polyps, reviewed: true };
}
