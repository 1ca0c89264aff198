/** Everything that a key or a button can ask for, by name. */

export const SPEEDS = [0.25, 0.5, 1, 2, 4];
const STEP = 0.05;
const MOST_SEED = 2n ** 64n - 1n;

/** The actions; `page` gives the connection, the last state, and what only the page does. */
export function makeActions(page) {
  const { connection } = page;
  const command = (name, value) => () => connection.command(name, value);
  return {
    autopilot: command("autopilot"),
    camera: command("camera"),
    detector: command("detector"),
    record: command("record"),
    data_run: command("data_run"),
    truth: command("truth"),
    pause: command("pause"),
    reset_score: command("reset_score"),
    new_seed: command("new_seed", null),
    "objectness-down": command("objectness", -STEP),
    "objectness-up": command("objectness", STEP),
    "iou-down": command("iou", -STEP),
    "iou-up": command("iou", STEP),
    slower: () => changeSpeed(page, -1),
    faster: () => changeSpeed(page, 1),
    live: () => page.tabs.select("live"),
    training: () => page.tabs.select("training"),
    help: () => page.toggleDialog("help"),
    log: () => page.toggleDialog("log"),
    "steer-pad": () => page.pad.toggle(),
  };
}

function changeSpeed(page, by) {
  if (!page.state) return;
  const now = SPEEDS.indexOf(page.state.speed);
  const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (now < 0 ? 2 : now) + by))];
  if (next === page.state.speed) return;
  page.state.speed = next; // a second press before the answer goes one further
  page.connection.command("speed", next);
}

/**
 * Fly a seed that was typed. Returns what is wrong with it, or "". Seeds have 64 bits, more than a
 * JavaScript number, so the message is put together as text.
 */
export function flySeed(connection, text) {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > MOST_SEED) {
    return "A seed is a whole number from 0 to 2^64 - 1";
  }
  connection.sendText(`{"type": "command", "name": "new_seed", "value": ${BigInt(text)}}`);
  return "";
}
