"""The live view for an hour of real time, with everything that happens to it, and what was lost.

    python -m benchmarks.view_hour                  # an hour
    python -m benchmarks.view_hour --minutes 5

One viewer watches all the time. Beside it one comes and goes, and is at times cut off in the middle
or floods; recordings and data runs begin and end; a training is started, stopped and gone on with;
the flight is sought through and looped, clips are saved, a second detector comes and goes; the
renderer is killed and stopped, and the checkpoint spoilt and put back. Prints a line a minute, and
in the end one line of JSON: memory of the server with its renderer, frames shown, the longest time
without one, recordings and their frames, and what was lost. It ends with exit code 1 if anything
was: a recorded frame that the viewer was told of and that can't be read, a viewer that was thrown
out, or a training that doesn't go on. For Linux.
"""

import argparse
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from benchmarks.view import address_of, save_fresh_weights
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.core.errors import UserError

CHECKPOINT = "checkpoints/tinydet.safetensors"
RUNS = "assets/datasets/captures"
PLAIN = ("--randomization", "plain")
VISIT_EVERY_S, VISIT_S = 20.0, 8.0
RECORD_EVERY_S, RECORD_S = 45.0, 20.0
TRAINING_EVERY_S = 120.0
HARM_EVERY_S = 100.0
PLAY_EVERY_S = 17.0
SETTLED_S = 120.0
"""Memory is compared from here on: before, caches fill."""


def renderers(server: int) -> list[int]:
    """The processes of the server that render: those that it has spawned from itself."""
    children = Path(f"/proc/{server}/task").glob("*/children")
    numbers = [int(number) for path in children for number in path.read_text().split()]
    return [number for number in numbers if b"spawn_main" in command_of(number)]


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def resident_mb(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Watcher(threading.Thread):
    """A viewer that acknowledges every frame, and notes what it is told."""

    def __init__(self, address: str, *, floods: bool = False) -> None:
        super().__init__(daemon=True)
        self.frames, self.longest_s, self.cut_off = 0, 0.0, ""
        self.state: dict[str, Any] = {}
        self.errors: list[str] = []
        self.runs: dict[str, int] = {}
        """The most frames that each recording was said to have."""
        self._floods = floods
        self._last = time.monotonic()
        self._socket = connect(
            f"ws://{address}/live",
            origin=Origin(f"http://{address}"),
            max_size=None,
            compression=None,
        )

    def run(self) -> None:
        try:
            for message in self._socket:
                self._take(message)
        except ConnectionClosed as closed:
            self.cut_off = str(closed)

    def switch(self, what: str) -> None:
        """Press a key."""
        self.send(type="switch", what=what)

    def send(self, **message: Any) -> None:
        """Send a message as the page does."""
        self._socket.send(json.dumps(message))

    def close(self) -> None:
        """Leave as a page does."""
        self._socket.close()

    def vanish(self) -> None:
        """Leave as a telephone does that has lost its network."""
        self._socket.socket.close()

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._note(json.loads(message))
            return
        (length,) = struct.unpack("<I", message[:4])
        header = json.loads(message[4 : 4 + length])
        now = time.monotonic()
        self.frames += 1
        self.longest_s, self._last = max(self.longest_s, now - self._last), now
        for _ in range(500 if self._floods else 1):
            self._socket.send(json.dumps({"type": "ack", "frame": header["frame"]}))

    def _note(self, told: dict[str, Any]) -> None:
        if told["type"] == "event" and told.get("level") == "error":
            self.errors.append(told["text"])
        if told["type"] == "state":
            self.state = told
            recorder = told["recorder"]
            if recorder["run"]:
                known = self.runs.get(recorder["run"], 0)
                self.runs[recorder["run"]] = max(known, recorder["frames"])


class Hour:
    """The server and what is done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT
        self.checkpoint.parent.mkdir(parents=True)
        save_fresh_weights(self.checkpoint)
        make = [sys.executable, "-m", "endoforge", "datagen", "--runs", "4", "--max-frames", "20"]
        make += ["--resolution", "160x96", "--seed", "1", "--output-root", str(folder / RUNS)]
        make += PLAIN
        subprocess.run(make, check=True, capture_output=True)
        command = [sys.executable, "-m", "endoforge", "sim-view", "--headless", "--port", "0"]
        command += ["--resolution", "320x180", "--seed", "7", "--checkpoint", CHECKPOINT, *PLAIN]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.address = address_of(self.process)
        # What it says goes unread else, until the pipe is full and it waits.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()  # type: ignore[union-attr]
        self.origin = f"http://{self.address}"
        self.watcher = Watcher(self.address)
        self.watcher.start()
        self.visits = self.harms = self.trainings = self.plays = self.clips = 0
        self.problems: list[str] = []

    def memory_mb(self) -> float:
        """Of the server and its renderer; the training's processes aren't counted."""
        return sum(map(resident_mb, [self.process.pid, *renderers(self.process.pid)]))

    def visit(self) -> None:
        """A viewer comes, and goes in one of three ways."""
        kind = self.visits % 3
        self.visits += 1
        visitor = Watcher(self.address, floods=kind == 2)
        visitor.start()
        leave = visitor.vanish if kind == 1 else visitor.close
        threading.Timer(VISIT_S, leave).start()

    def record(self, number: int) -> None:
        """A recording or a data run, in turn, begins, and ends after a while."""
        what = ("record", "data_run")[number % 2]
        self.watcher.switch(what)
        threading.Timer(RECORD_S, self.watcher.switch, [what]).start()

    def train(self) -> None:
        """Start the training, or stop it: then the next start goes on where it was."""
        job = httpx.get(f"{self.origin}/api/jobs", timeout=60).json()["train"]
        what, body = ("stop", {}) if job["state"] == "running" else ("start", {"epochs": 200})
        path, headers = f"{self.origin}/api/jobs/train/{what}", {"origin": self.origin}
        answer = httpx.post(path, json=body, headers=headers, timeout=60)
        self.trainings += what == "start"
        if answer.status_code != 200:
            self.problems.append(f"training: {what}: {answer.status_code} {answer.text[:200]}")

    def play(self) -> None:
        """Seek, mark a loop or end it, have a second detector or none, or save a clip, in turn."""
        kind, turn = self.plays % 4, self.plays // 4
        self.plays += 1
        if kind == 0:
            self.watcher.send(type="seek", seconds=20.0 * turn % 200)
        elif kind == 1:
            self.watcher.switch("loop")
        elif kind == 2:
            name = (None, "heuristic", "packaged")[turn % 3]
            self.watcher.send(type="second", name=name)
        else:
            threading.Thread(target=self._save_clip, daemon=True).start()

    def _save_clip(self) -> None:
        """As the page does; it takes some seconds."""
        headers = {"origin": self.origin}
        answer = httpx.post(f"{self.origin}/api/clip", headers=headers, timeout=120)
        self.clips += 1
        if answer.status_code != 200 or answer.content[4:8] != b"ftyp":
            self.problems.append(f"clip: {answer.status_code} {answer.text[:200]}")

    def harm(self) -> None:
        """Kill or stop the renderer, or spoil the checkpoint and put it back."""
        kind = self.harms % 3
        self.harms += 1
        if kind == 2:
            whole = self.checkpoint.read_bytes()
            self.checkpoint.write_bytes(whole[: len(whole) // 2])
            threading.Timer(20.0, self.checkpoint.write_bytes, [whole]).start()
            return
        for renderer in renderers(self.process.pid):
            os.kill(renderer, signal.SIGSTOP if kind else signal.SIGKILL)

    def lost(self) -> list[str]:
        """What the viewer was told of and isn't there, or went wrong."""
        problems = [*self.problems]
        if self.watcher.cut_off:
            problems.append(f"the viewer was cut off: {self.watcher.cut_off}")
        for name, frames in self.watcher.runs.items():
            if not frames:
                continue
            try:
                there = len(index_root(self.folder / RUNS / name).frames)
            except UserError as error:
                problems.append(f"{name}: {error}")
                continue
            if there < frames:
                problems.append(f"{name}: {there} of {frames} frames can be read")
        return problems

    def end(self) -> None:
        """Stop as Ctrl-C does, and see that it ends."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.problems.append("it did not end within a minute of Ctrl-C")
            self.process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        hour = Hour(Path(scratch))
        memory = run(hour, 60 * arguments.minutes)
        told = hour.watcher
        cut_off, told_frames = told.cut_off, told.frames
        hour.end()
        told.cut_off = cut_off  # the end itself cuts it off
        lost = hour.lost()
    result = {
        "benchmark": "view_hour",
        "version": __version__,
        "cpus": os.cpu_count(),
        "minutes": arguments.minutes,
        "memory_mb": memory,
        "frames_shown": told_frames,
        "longest_without_s": round(told.longest_s, 1),
        "visits": hour.visits,
        "harms": hour.harms,
        "trainings_started": hour.trainings,
        "clips": hour.clips,
        "recordings": len(told.runs),
        "frames_recorded": sum(told.runs.values()),
        "errors_told": told.errors,
        "lost": lost,
    }
    print(json.dumps(result))
    return 1 if lost else 0


def run(hour: Hour, seconds: float) -> dict[str, float]:
    """Let it happen, and give the memory when it had settled, at most, and in the end, in MB."""
    begun = time.monotonic()
    due = {"visit": 5.0, "record": 10.0, "train": 15.0, "play": 20.0, "harm": 60.0, "say": 60.0}
    memory: list[float] = []
    recordings = 0
    while (now := time.monotonic() - begun) < seconds and hour.process.poll() is None:
        if now >= due["visit"]:
            hour.visit()
            due["visit"] += VISIT_EVERY_S
        if now >= due["record"] and now < seconds - 2 * RECORD_S:
            hour.record(recordings)
            recordings += 1
            due["record"] += RECORD_EVERY_S
        if now >= due["train"]:
            hour.train()
            due["train"] += TRAINING_EVERY_S
        if now >= due["play"]:
            hour.play()
            due["play"] += PLAY_EVERY_S
        if now >= due["harm"]:
            hour.harm()
            due["harm"] += HARM_EVERY_S
        if now >= min(SETTLED_S, seconds / 2):
            memory.append(hour.memory_mb())
        if now >= due["say"]:
            state = hour.watcher.state
            shown = f"{hour.watcher.frames} frames, {hour.memory_mb():.0f} MB"
            print(f"{now / 60:.0f} min: {shown}, {state.get('trouble') or 'well'}", file=sys.stderr)
            due["say"] += 60.0
        time.sleep(0.5)
    if hour.process.poll() is not None:
        hour.problems.append(f"the server ended by itself: {hour.process.returncode}")
    settled = {"settled": memory[0], "most": max(memory), "end": memory[-1]} if memory else {}
    return {name: round(value, 1) for name, value in settled.items()}


if __name__ == "__main__":
    sys.exit(main())
