"""The features of a contour weighed into the probability that it is a polyp's.

A logistic regression on each feature and its square, with numbers that come from

    endoforge datagen --seed 100 --runs 48 --max-frames 24 --resolution 320x180 --output-root seen
    python benchmarks/fit_heuristic.py seen

which writes them below: for each feature its mean and its deviation, by which it is brought to
about -1..1 and clipped to -3..3, and the weights of that and of its square.
"""

import numpy as np

from endoforge.detect.classical.features import Features
from endoforge.detect.classical.view import Plane

CLIP = 3.0

# fitted: begin
BIAS = -5.536
WEIGHTS = {
    "edge": (0.4722, 0.1926, 1.3, 0.02629),
    "weakest edges": (0.1693, 0.2085, -0.09903, 0.1925),
    "closed": (0.4964, 0.2455, 0.8762, -0.2401),
    "cut": (0.1688, 0.2314, 0.8029, -0.3162),
    "light step": (-0.04092, 0.1822, -1.34, 0.09722),
    "light step one way": (0.6637, 0.2719, -0.3854, -0.162),
    "light step spread": (0.1735, 0.1248, -0.07014, -0.2864),
    "red step": (-0.001932, 0.07295, -0.2244, 0.1334),
    "red step one way": (0.4979, 0.2547, 0.09242, 0.117),
    "red step spread": (0.06412, 0.07237, 0.1091, -0.3151),
    "yellow step": (0.003334, 0.04907, -0.1847, -0.1149),
    "yellow step one way": (0.3354, 0.2403, 0.1599, -0.01886),
    "yellow step spread": (0.04598, 0.05319, -0.7693, 0.1955),
    "light within": (-0.09783, 0.4981, 0.2145, 0.2036),
    "light contrast": (0.08034, 0.3446, 1.376, -0.2619),
    "light dome": (0.02575, 0.1071, 0.1556, -0.4542),
    "light texture": (0.1213, 0.09746, -0.3537, 0.2906),
    "even within": (-0.03138, 0.3681, 0.212, -0.2597),
    "even contrast": (0.07456, 0.3102, 0.06116, 0.05769),
    "even dome": (0.02417, 0.104, -0.007849, 0.3867),
    "even texture": (0.1122, 0.09065, -0.3401, 0.113),
    "red within": (-0.01978, 0.1853, 0.7531, 0.06046),
    "red contrast": (-0.0007254, 0.1403, 0.7012, -0.1645),
    "red dome": (-0.001561, 0.05374, -0.2443, 0.2777),
    "red texture": (0.04742, 0.05019, 0.2619, -0.1951),
    "yellow within": (-0.002566, 0.1065, -0.8004, -0.673),
    "yellow contrast": (-0.009278, 0.08832, -0.2735, -0.1221),
    "yellow dome": (-0.005302, 0.0336, -0.2202, -0.0578),
    "yellow texture": (0.03211, 0.04048, -0.1761, 0.07368),
    "darkest side": (-0.5978, 0.5553, 0.4555, 0.08946),
    "around spread": (0.2714, 0.1905, -0.6289, -0.02397),
    "rim spread": (0.1173, 0.1021, 0.2676, -0.1032),
    "inner edges": (0.2332, 0.1183, -0.1059, -0.3525),
    "outer edges": (0.2989, 0.1931, -0.641, 0.1315),
    "glints within": (0.06189, 0.113, 1.188, -0.3397),
    "glints around": (0.06721, 0.09561, -0.9191, 0.1587),
    "size": (2.548, 1.002, 0.7319, 0.0182),
    "aspect": (0.03137, 0.04762, 0.06701, -0.02906),
    "off centre": (0.02391, 0.03096, 0.04071, 0.06863),
    "elongation": (0.01007, 0.01286, -0.06851, 0.01795),
    "not an ellipse": (0.01068, 0.01185, -0.03946, 0.02142),
    "bends": (0.1086, 0.1356, -0.09009, -0.04587),
    "radius": (0.2017, 0.3803, -0.8032, 0.03426),
    "from the middle": (0.3609, 0.1466, -0.6146, 0.2357),
    "height": (0.008046, 0.2829, 0.004883, 0.3387),
    "from the lumen": (0.9897, 1.198, -0.09716, -0.2273),
    "blob light": (0.02976, 0.1212, -0.1975, -0.1108),
    "blob red": (0.003146, 0.05379, 0.4152, -0.1689),
    "ring": (0.1472, 0.1656, 0.4918, 0.1853),
    "bright ring": (0.1043, 0.341, 0.07545, -0.3956),
}
# fitted: end


def standardised(values: Plane, means: Plane, deviations: Plane) -> Plane:
    """(N, F) features brought to the range for which the weights were fitted."""
    return np.clip((values - means) / deviations, -CLIP, CLIP)


def probability(features: Features) -> Plane:
    """How likely each of N contours overlaps a polyp by half: (N,) in 0..1."""
    values = np.stack([features[name] for name in WEIGHTS], axis=1)
    means, deviations, linear, square = np.array(list(WEIGHTS.values()), np.float32).T
    even = standardised(values, means, deviations)
    logits = even @ linear + even**2 @ square + np.float32(BIAS)
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
