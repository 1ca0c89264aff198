/** The keys of the label tab, while a frame is open. */

/** What the help lists: keys with their actions, and what they do. */
export const LABEL_GROUPS = [
  ["Labels", [
    [{ Enter: "accept" }, "Confirm all boxes, and on to the next frame that needs a look"],
    [{ N: "none" }, "No polyp here, and on"],
    [{ ",": "previous", ".": "next" }, "The frame before, the next one; so do ← → while no box is selected"],
    [{ Delete: "remove" }, "Remove the selected box"],
    [{ "Ctrl+Z": "undo", "Ctrl+Y": "redo" }, "Undo, redo, also what is saved"],
    [{ "+": "closer", "-": "farther", 0: "fit" }, "Zoom; the wheel and two fingers do, too"],
    [{ H: "hide" }, "Hide the boxes, and show them"],
    [{ Esc: "back" }, "Select nothing; then back to the runs"],
  ]],
];
/** The same, for what isn't a single key. */
export const LABEL_HANDS = [
  ["Boxes", [
    [["drag"], "Draw; with Shift also over a box"],
    [["Tab"], "Select the next box"],
    [["←", "→", "↑", "↓"], "Move the selected box by a pixel"],
    [["Shift+←", "Shift+→", "Shift+↑", "Shift+↓"], "Resize it by a pixel"],
    [["1", "9"], "Its class, in the order of the list"],
  ]],
];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SINGLE = {
  Enter: "accept", n: "none", ",": "previous", ".": "next", Delete: "remove", Backspace: "remove",
  "+": "closer", "=": "closer", "-": "farther", _: "farther", 0: "fit", h: "hide", Escape: "back",
};

/** What a key asks of the editor: [action, ...arguments], or null. `selected`: a box is. */
export function askedBy(event, selected) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return [event.shiftKey ? "redo" : "undo"];
    return key === "y" ? ["redo"] : null;
  }
  if (event.altKey) return null;
  if (key === "Tab") return ["cycle", event.shiftKey ? -1 : 1];
  if (key in ARROWS) {
    const [dx, dy] = ARROWS[key];
    if (selected) return [event.shiftKey ? "grow" : "shift", dx, dy];
    return dx && !event.shiftKey ? [dx < 0 ? "previous" : "next"] : null;
  }
  if (/^[1-9]$/.test(key)) return ["classify", Number(key) - 1];
  return key in SINGLE ? [SINGLE[key]] : null;
}
