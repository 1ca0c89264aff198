/** What the page says of the frame that is shown. */

import { byId, setText, show } from "../dom.js";
import { classOf, isGuess, seen } from "./boxes.js";

const STATUS_WORDS = {
  unlabelled: "No label yet", predicted: "Predicted: needs a look", reviewed: "Reviewed",
  given: "Given", unreadable: "Can't be read",
};

/** Write how the frame stands, what there is to know of it, and its boxes for who doesn't see them. */
export function tellFrame({ view, draft, run, why }) {
  const boxes = seen(draft.polyps);
  const isConfirmed = draft.reviewed && !boxes.some(isGuess);
  const status = isConfirmed ? "reviewed" : draft.reviewed ? "predicted" : view.status;
  const badge = byId("label-status");
  badge.dataset.status = status;
  setText(badge, STATUS_WORDS[status]);
  const isLocked = view.locked && !draft.overrule;
  show(byId("label-unlock"), isLocked);
  const notes = [
    view.problem,
    isLocked && "The simulator's own truth, exact to the pixel: it is only shown.",
    run.has_masks && !isLocked && "The instance images of this run stay as they are.",
    boxes.some((polyp) => polyp.suggested) && "Carried over from the frame before: Enter confirms.",
    why,
  ].filter(Boolean);
  setText(byId("label-note-text"), notes.join(" "));
  show(byId("label-note"), notes.length > 0);
  const guesses = boxes.filter(isGuess).length;
  byId("label-stage").setAttribute("aria-label",
    `Frame ${view.frame_id}: ${boxes.map(classOf).join(", ") || "no boxes"}${guesses ? `, ${guesses} to be confirmed` : ""}`);
}
