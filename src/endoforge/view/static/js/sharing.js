/** What one takes away from the live view: a picture, a clip, a link; and the view on all of the screen. */

import { postForFile } from "./api.js";
import { all, byId, clock, el, show } from "./dom.js";

/** The seed and the second that an address asks for, or null. */
export function placeOf(hash) {
  const found = /^#seed=(\d{1,20})(?:&at=(\d{1,6}))?$/.exec(hash);
  return found && { seed: found[1], at_s: Number(found[2] ?? 0) };
}

/** Put the place of now into the address, and on the clipboard where that is allowed. */
export function shareLink(state, events) {
  if (!state) return;
  const { seed, time_s: seconds } = state.world;
  history.replaceState(null, "", `#seed=${seed}&at=${Math.floor(seconds)}`);
  navigator.clipboard?.writeText(location.href).catch(() => null); // it is in the address all the same
  events.add({ level: "info", text: `The address leads to seed ${seed} at ${clock(seconds)} now` });
}

/** Save the picture as it is shown, with its boxes or without. */
export function savePicture(state) {
  const view = byId("view");
  view.toBlob((blob) => download(blob, `${nameOf(state)}-frame-${view.dataset.frame}.png`));
}

/** Save the last 20 seconds of what was shown as a video, with boxes if they are shown now. */
export async function saveClip(state, painter, events) {
  const buttons = all('[data-do="save_clip"]');
  if (!state || buttons[0].disabled) return;
  const at = clock(state.world.time_s).replace(":", "m");
  for (const button of buttons) button.disabled = true;
  events.add({ level: "info", text: "The clip is being made" });
  try {
    const clip = await postForFile(`/api/clip?boxes=${painter.boxesShown ? 1 : 0}`);
    download(clip, `${nameOf(state)}-${at}.mp4`);
  } catch (error) {
    events.add({ level: "error", text: error.message });
  }
  for (const button of buttons) button.disabled = false;
}

function nameOf({ source, world }) {
  const of = source ? source.name.replace(/[^\w.-]+/g, "_") : `seed-${world.seed}`;
  return `endoforge-${of}`;
}

function download(blob, name) {
  const href = URL.createObjectURL(blob);
  el("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

/** Show the boxes, or the bare picture: on this page alone. */
export function toggleBoxes(painter) {
  painter.showBoxes(!painter.boxesShown);
  for (const button of all('[data-do="boxes"]')) button.setAttribute("aria-pressed", String(painter.boxesShown));
  show(byId("legend"), painter.boxesShown);
}

/** The stage on all of the screen, or no longer. */
export function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("stage").requestFullscreen?.();
}
