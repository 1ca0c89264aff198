"""What is measured of a contour, in numbers that say polyp or not."""

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.classical.blobs import RADIUS_PX
from endoforge.detect.classical.contours import (
    GLINT,
    INTENSITY,
    RADII,
    REDNESS,
    VALID,
    YELLOWNESS,
    Contours,
)
from endoforge.detect.classical.view import Plane, ScopeView

Features = dict[str, Plane]
STRONG_EDGE = 0.5
PLANES = ("light", "even", "red", "yellow")
SQUARES, EDGES = 6, 10


def measure_contours(view: ScopeView, contours: Contours) -> Features:
    """Measure each of N contours in `view`: (N,) float32 by the name of the feature."""
    samples, path = contours.samples, contours.path
    valid = samples[..., VALID]
    distance = np.arange(len(RADII)) - path[..., None]
    regions = {
        "inside": (distance < -1) * RADII,
        "core": (np.arange(len(RADII)) < path[..., None] / 2) * RADII,
        "rim": (distance < -1) & (distance >= -5),
        "outside": (distance > 1) & (distance <= 5),
    }
    weights = np.stack([region * valid for region in regions.values()], axis=1)
    means = _region_means(contours, weights)
    inside, core, rim, outside = (means[:, number] for number in range(4))
    middle = np.median(view.planes[::3, ::3][view.valid[::3, ::3] > 0.5], axis=0)

    edge, seen = _at(contours.edges, path), _at(valid, path)
    num_seen = seen.sum(axis=1) + 1e-3
    features: Features = {
        "edge": edge.mean(axis=1),
        "weakest edges": np.sort(edge, axis=1)[:, : edge.shape[1] // 3].mean(axis=1),
        "closed": (edge > STRONG_EDGE).mean(axis=1),
        "cut": 1 - seen.mean(axis=1),
    }
    steps = np.take_along_axis(contours.steps, path[..., None, None], axis=2)[:, :, 0]
    steps = steps * seen[..., None]
    mean_step = steps.sum(axis=1) / num_seen[:, None]
    one_way = np.abs(steps.sum(axis=1)) / (np.abs(steps).sum(axis=1) + 0.2)
    spread = _root((steps**2).sum(axis=1) / num_seen[:, None] - mean_step**2)
    for plane, name in ((INTENSITY, "light"), (REDNESS, "red"), (YELLOWNESS, "yellow")):
        features[f"{name} step"] = mean_step[:, plane]
        features[f"{name} step one way"] = one_way[:, plane]
        features[f"{name} step spread"] = spread[:, plane]
    for plane, name in enumerate(PLANES):
        features[f"{name} within"] = inside[:, plane] - middle[plane]
        features[f"{name} contrast"] = inside[:, plane] - outside[:, plane]
        features[f"{name} dome"] = core[:, plane] - rim[:, plane]
        features[f"{name} texture"] = _root(inside[:, SQUARES + plane] - inside[:, plane] ** 2)
    around = _per_ray(samples[..., INTENSITY], weights[:, 3])
    features["darkest side"] = around.min(axis=1) - inside[:, INTENSITY]
    features["around spread"] = around.std(axis=1)
    features["rim spread"] = _per_ray(samples[..., INTENSITY], weights[:, 2]).std(axis=1)
    features["inner edges"], features["outer edges"] = inside[:, EDGES], outside[:, EDGES]
    features["glints within"], features["glints around"] = inside[:, GLINT], outside[:, GLINT]
    features |= _shape(contours, view)
    names = ("blob light", "blob red", "ring", "bright ring")
    features |= {name: contours.evidence[:, number] for number, name in enumerate(names)}
    return {name: np.nan_to_num(value).astype(np.float32) for name, value in features.items()}


def _shape(contours: Contours, view: ScopeView) -> Features:
    """Features of the contour's form: size, roundness, and how well an ellipse fits it."""
    radii = RADII[contours.path]
    waves = np.abs(np.fft.rfft(np.log(radii), axis=1)) / radii.shape[1]
    points = contours.points()
    low, high = points.min(axis=1), points.max(axis=1)
    sides = high - low
    middle = (low + high) / 2 / view.size - 0.5
    lit = np.where(view.valid > 0.5, view.planes[..., INTENSITY], 9)
    darkest = np.array(np.unravel_index(np.argmin(lit), lit.shape)[::-1])
    bends = np.abs(np.diff(contours.path, axis=1, append=contours.path[:, :1])).mean(axis=1)
    return {
        "size": np.log2(np.sqrt(sides.prod(axis=1)) / RADIUS_PX),
        "aspect": np.abs(np.log2(sides[:, 0] / sides[:, 1])),
        "off centre": waves[:, 1],
        "elongation": waves[:, 2],
        "not an ellipse": np.sqrt((waves[:, 3:] ** 2).sum(axis=1)),
        "bends": bends,
        "radius": np.log2(radii.mean(axis=1)),
        "from the middle": np.hypot(middle[:, 0], middle[:, 1]),
        "height": middle[:, 1],
        "from the lumen": np.log2(
            (np.hypot(*(contours.centres - darkest).T) + 4) / np.sqrt(sides.prod(axis=1))
        ),
    }


def _region_means(contours: Contours, weights: Plane) -> Plane:
    """(N, regions, 11) weighted means: of the samples, of the squared planes, and of the edges.

    The first region is the inside; where little of another is in view, its mean is pulled there.
    """
    count, num_regions = weights.shape[:2]
    planes = contours.samples[..., :4]
    values = np.concatenate(
        [contours.samples, planes**2, contours.edges[..., None]], axis=-1, dtype=np.float32
    )
    flat = weights.reshape(count, num_regions, -1)
    sums = flat @ values.reshape(count, flat.shape[2], -1)
    totals = flat.sum(axis=2, keepdims=True)
    inside = sums[:, :1] / (totals[:, :1] + 1e-3)
    return np.asarray((sums + inside) / (totals + 1))


def _at(values: Plane, path: NDArray[np.intp]) -> Plane:
    """The values that lie on the contour: (N, A, R) to (N, A)."""
    return np.take_along_axis(values, path[..., None], axis=2)[..., 0]


def _root(square: Plane) -> Plane:
    """The square root of what is negative by rounding alone."""
    return np.asarray(np.sqrt(np.maximum(square, 0)))


def _per_ray(values: Plane, weights: Plane) -> Plane:
    """(N, A): the weighted mean on each ray; the mean of the rays where there is nothing."""
    sums = weights.sum(axis=2)
    means = (values * weights).sum(axis=2) / np.maximum(sums, 1e-3)
    known = sums > 0.5
    overall = (means * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(np.where(known, means, overall[:, None]))
