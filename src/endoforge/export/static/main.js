/** The page: what is dropped, chosen, pasted or filmed is looked at, one after the other. */

const CLIPS = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|ogv|ts)$/i;
const LEAST_LOSS = 1.5; // seconds without a picture at a clip's end if something is lacking
const isClip = (file) => file.type.startsWith("video/") || CLIPS.test(file.name);

const facts = JSON.parse(byId("facts").textContent);
const entries = []; // {file, name, button, found, note, fault}; a clip has neither found nor note
const canvas = document.createElement("canvas");
const starting = DetectorWorker.start(facts);
let shown = null; // the entry that is seen
let clip = null;
let video = null;
let turn = 0; // grows with what is opened: what was asked for before comes too late
let queue = starting.catch(() => null); // files are looked at in the order they came

const leastScore = () => Number(byId("score").value);
const enough = (found) => found.filter(({ score }) => score >= leastScore());

/** Look at files, one after the other, and show the first of them once it was looked at. */
function add(files) {
  for (const [place, file] of files.entries()) {
    const entry = { file, name: file.name || "pasted picture" };
    list(entry);
    queue = queue.then(() => look(entry)).then(() => {
      describe(entry);
      if (place === 0 || shown === entry) open(entry);
    });
  }
}

function list(entry) {
  entry.button = make("button", entry.name);
  entry.button.type = "button";
  entry.button.append(make("small", "waiting"));
  entry.button.addEventListener("click", () => open(entry));
  const row = document.createElement("li");
  row.append(entry.button);
  byId("entries").append(row);
  byId("list").hidden = false;
  entries.push(entry);
  summarize();
}

/** Look at a picture; a clip is looked at while it plays. */
async function look(entry) {
  if (isClip(entry.file)) return;
  try {
    const detector = await starting;
    const bitmap = await decoded(entry.file);
    const pixels = pixelsOf(bitmap, bitmap.width, bitmap.height, canvas);
    if (hasTransparency(pixels)) {
      entry.note = "Parts of this picture are transparent: a browser doesn't tell their stored " +
        "colours, so boxes may differ from those of endoforge detect.";
    }
    const { found, milliseconds } = await detector.detect(pixels);
    Object.assign(entry, { found, milliseconds });
    bitmap.close();
  } catch (fault) {
    entry.fault = fault.message;
  }
}

/** Say in the list what became of an entry. */
function describe(entry) {
  const said = entry.button.querySelector("small");
  entry.button.parentElement.className = entry.fault ? "failed" : "";
  if (entry.fault) said.textContent = `not looked at: ${entry.fault}`;
  else if (isClip(entry.file)) said.textContent = "clip";
  else if (entry.found) said.textContent = counted(enough(entry.found).length);
  summarize();
}

/** Say above the list how many there are, as it may be longer than what is seen of it. */
function summarize() {
  const failed = entries.filter(({ fault }) => fault).length;
  const files = `${entries.length} ${entries.length === 1 ? "file" : "files"}`;
  byId("files-head").textContent = failed ? `${files}, ${failed} not looked at` : files;
}

async function open(entry) {
  const mine = begin(entry);
  if (entry.fault) return showFault(`${entry.name}: ${entry.fault}. It was not looked at.`);
  if (isClip(entry.file)) {
    showWords(`${entry.name}: being opened.`, "Not looked at yet.");
    return play(entry, () => opened(entry.file));
  }
  if (!entry.found) return showWords(`${entry.name}: its turn comes.`, "Not looked at yet.");
  const bitmap = await decoded(entry.file);
  if (turn !== mine) return;
  showPicture(bitmap, bitmap.width, bitmap.height);
  byId("speed").textContent = `${entry.milliseconds.toFixed(0)} ms for this picture`;
  refresh();
}

/** Let another entry be the one that is seen; the number of its turn. */
function begin(entry) {
  closeClip();
  shown = entry;
  for (const one of entries) one.button.setAttribute("aria-current", String(one === entry));
  showNote(entry.note);
  byId("speed").textContent = "";
  return turn;
}

/** Show what was found from the least score on. */
function refresh() {
  byId("score-shown").textContent = leastScore().toFixed(2);
  for (const entry of entries) describe(entry);
  // Of a clip, what changes with each frame isn't read out.
  byId("summary").setAttribute("aria-live", clip ? "off" : "polite");
  const found = clip ? clip.found : shown?.found;
  if (found && !byId("view").hidden) showFound(enough(found), shown.name);
}

/** Play what `open` gives; it may be long in coming, and no longer be wanted then. */
async function play(entry, open) {
  const mine = turn;
  try {
    const detector = await starting;
    const started = await open();
    if (turn !== mine) return release(started);
    follow(entry, started, detector);
    await started.play();
  } catch (fault) {
    if (turn === mine) fail(entry, fault.message);
  }
}

/** A clip, or the camera, of which nothing can be looked at. */
function fail(entry, reason) {
  closeClip();
  entry.fault = reason;
  if (entry.button) describe(entry);
  showFault(`${entry.name}: ${reason}. It was not looked at.`);
}

/** Say from where on a clip gives no picture: after an error, or where it ends too early. */
function watchForDamage(entry, followed, started) {
  const whole = Number.isFinite(started.duration) ? started.duration : 0;
  const tell = () => {
    if (clip !== followed) return;
    if (!clip.looked) return fail(entry, UNDECODABLE);
    showNote(`From ${clock(clip.lastTime)} on this clip gives no picture: what follows was not ` +
      "looked at.");
  };
  started.addEventListener("error", tell);
  started.addEventListener("ended", () => (followed.lastTime < whole - LEAST_LOSS ? tell() : null));
}

function follow(entry, started, detector) {
  const isFile = Boolean(entry.file);
  video = started;
  clip = new Clip(video, detector, tell);
  for (const event of ["play", "pause", "ended"]) video.addEventListener(event, showPlaying);
  video.addEventListener("timeupdate", showTime);
  if (isFile) watchForDamage(entry, clip, started);
  video.playbackRate = Number(byId("rate").value);
  byId("player").hidden = !isFile;
  byId("camera").textContent = isFile ? "Use the camera" : "Stop the camera";
  byId("seek").max = Number.isFinite(video.duration) ? video.duration : 0;
  byId("seek").disabled = !Number.isFinite(video.duration);
}

/** Tell of the frame of a clip that was just looked at. */
function tell() {
  refresh();
  showTime();
  const speed = clip.speed === null ? "" : `${clip.speed.toFixed(1)} frames a second; `;
  const passed = clip.passedOver ? `, ${clip.passedOver} passed over` : "";
  byId("speed").textContent = `${speed}${clip.looked} ${clip.looked === 1 ? "frame" : "frames"} looked at${passed}`;
}

function showPlaying() {
  byId("play").textContent = video?.paused ? "Play" : "Pause";
}

function showTime() {
  if (!video || video.srcObject) return;
  if (!byId("seek").matches(":active")) byId("seek").value = video.currentTime;
  const whole = Number.isFinite(video.duration) ? ` / ${clock(video.duration)}` : "";
  byId("time").textContent = clock(video.currentTime) + whole;
}

function closeClip() {
  turn += 1;
  clip?.close();
  clip = video = null;
  byId("player").hidden = true;
  byId("camera").textContent = "Use the camera";
}

function toggleCamera() {
  if (clip && video.srcObject) return closeClip();
  const entry = { name: "the camera" };
  begin(entry);
  return play(entry, async () => opened(await navigator.mediaDevices.getUserMedia({ video: true })));
}

function listen() {
  byId("files").addEventListener("change", ({ target }) => {
    add([...target.files]);
    target.value = "";
  });
  addEventListener("paste", (event) => add([...event.clipboardData.files]));
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    addEventListener(type, (event) => {
      event.preventDefault();
      byId("stage").classList.toggle("over", type === "dragenter" || type === "dragover");
    });
  }
  addEventListener("drop", (event) => add([...event.dataTransfer.files]));
  byId("score").addEventListener("input", refresh);
  byId("play").addEventListener("click", () => (video.paused ? video.play() : video.pause()));
  byId("seek").addEventListener("input", ({ target }) => (video.currentTime = Number(target.value)));
  byId("rate").addEventListener("change", ({ target }) => (video.playbackRate = Number(target.value)));
  byId("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  byId("camera").addEventListener("click", toggleCamera);
}

listen();
refresh();
try {
  await starting;
  byId("state").textContent = `Ready: ${facts.name}, for inputs of ${facts.input.width}x${facts.input.height}`;
  if (changesPixels()) {
    byId("state").textContent += ". This browser changes pixels that pages read: boxes may differ a little";
  }
} catch (fault) {
  byId("state").textContent = "The detector doesn't run here.";
  showFault(`The detector doesn't run in this browser: ${fault.message}`);
}
