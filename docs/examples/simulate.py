"""Simulated frames with their labels, straight from the renderer: no files, no copies."""

from endoforge import Simulator

simulator = Simulator(seed=7, size=(256, 256), max_frames=12)
for batch in simulator:
    bright = batch.rgb.float().mean()  # (B, H, W, 3) uint8, a torch tensor where it was rendered
    boxes = [label.boxes for label in batch.labels]  # of each frame (N, 4) float32, xyxy in pixels
    near = batch.depth.amin()  # (B, H, W) float32, mm
    print(f"{len(batch)} frames, {sum(map(len, boxes))} boxes, {bright:.0f} bright, {near:.0f} mm")
