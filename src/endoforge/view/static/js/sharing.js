/** What one takes away from the live view: a picture, a link; and the view on all of the screen. */

import { byId, clock, el } from "./dom.js";

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

/** Save the picture as it is shown, with its boxes. */
export function savePicture(state) {
  const view = byId("view");
  const of = state?.source ? state.source.name.replace(/[^\w.-]+/g, "_") : `seed-${state?.world.seed}`;
  view.toBlob((blob) => {
    const href = URL.createObjectURL(blob);
    el("a", { href, download: `endoforge-${of}-frame-${view.dataset.frame}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  });
}

/** The stage on all of the screen, or no longer. */
export function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("stage").requestFullscreen?.();
}
