"""Polyps in a picture, by an exported detector: run_onnx.py DETECTOR.onnx PICTURE"""

import sys

import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
width, height = map(int, session.get_modelmeta().custom_metadata_map["input_size"].split("x"))
frame = cv2.cvtColor(cv2.imread(sys.argv[2]), cv2.COLOR_BGR2RGB)
scale = min(width / frame.shape[1], height / frame.shape[0])
size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
left, top = (width - size[0]) // 2, (height - size[1]) // 2
image = np.pad(small, ((top, height - top - size[1]), (left, width - left - size[0]), (0, 0)))
boxes, scores, _, _ = session.run(None, {"images": image.transpose(2, 0, 1)[None]})
boxes = ((boxes - [left, top, left, top]) / (size * 2)).clip(0, 1)  # 0..1 of the frame
print(boxes[(scores >= 0.3) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)])
