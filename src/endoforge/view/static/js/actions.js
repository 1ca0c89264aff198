/** Everything that a key or a button can ask for, by name. */

import { seekBy, stepBy } from "./playbar.js";
import { saveClip, savePicture, shareLink, toggleBoxes, toggleFullScreen } from "./sharing.js";

const STEP = 0.05;
const SEEK_S = 5;
const MOST_SEED = 2n ** 64n - 1n;

/** The actions; `page` gives the connection, the last state, and what only the page does. */
export function makeActions(page) {
  const { connection } = page;
  const press = (what) => () => connection.send({ type: "switch", what });
  const move = (which, by) => () => connection.send({ type: "threshold", which, by, of: page.whose });
  return {
    autopilot: press("autopilot"),
    camera: press("camera"),
    detector: press("detector"),
    record: press("record"),
    data_run: press("data_run"),
    truth: press("truth"),
    newest_first: press("newest_first"),
    pause: press("pause"),
    loop: press("loop"),
    reset_score: press("reset_score"),
    new_seed: () => connection.send({ type: "seed", seed: null, at_s: 0 }),
    "objectness-down": move("objectness", -STEP),
    "objectness-up": move("objectness", STEP),
    "iou-down": move("iou", -STEP),
    "iou-up": move("iou", STEP),
    whose: () => page.comparison.switchWhose(),
    slower: () => connection.send({ type: "speed", by: -1 }),
    faster: () => connection.send({ type: "speed", by: 1 }),
    "seek-back": () => seekBy(page, -SEEK_S),
    "seek-on": () => seekBy(page, SEEK_S),
    "frame-back": () => stepBy(page, -1),
    "frame-on": () => stepBy(page, 1),
    live: () => page.tabs.select("live"),
    training: () => page.tabs.select("training"),
    labels: () => page.tabs.select("labels"),
    help: () => page.toggleDialog("help"),
    log: () => page.toggleDialog("log"),
    full_screen: toggleFullScreen,
    boxes: () => toggleBoxes(page.painter),
    save_picture: () => page.state && savePicture(page.state),
    save_clip: () => saveClip(page.state, page.painter, page.events),
    link: () => shareLink(page.state, page.events),
    "steer-pad": () => page.pad.toggle(),
  };
}

/**
 * Fly a seed that was typed. Returns what is wrong with it, or "". Seeds have 64 bits, more than a
 * JavaScript number, so they are sent as text.
 */
export function flySeed(connection, text) {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > MOST_SEED) {
    return "A seed is a whole number from 0 to 2^64 - 1";
  }
  connection.send({ type: "seed", seed: text, at_s: 0 });
  return "";
}
