"""Ranges of instruments, and of what an endoscopist does to the wall."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InstrumentRanges:
    """Instruments, and what they leave behind; nothing of it has a label."""

    snare: Nuisance = Nuisance(probability=0.06, strength=(0.2, 0.6))
    """a loop of wire on a plastic tube, around a polyp: share of the time near polyps"""
    forceps: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.6))
    """two metal cups on a tube: share of the time near polyps"""
    needle: Nuisance = Nuisance(probability=0.04, strength=(0.2, 0.6))
    """a thin needle on a tube: share of the time near polyps"""
    cap: Nuisance = Nuisance(probability=0.06, strength=(0.2, 0.8))
    """a transparent cap on the scope's tip: how much its rim and its wall show"""
    jet: Nuisance = Nuisance(probability=0.05, strength=(0.1, 0.4))
    """a jet of water and its splash: share of the time"""
    lift: Nuisance = Nuisance(probability=0.1, strength=(0.2, 0.8))
    """mucosa lifted by an injection and dyed, some with a polyp on it: how many and how blue"""
    ulcers: Nuisance = Nuisance(probability=0.06, strength=(0.2, 0.8))
    """defects that a resection leaves: how many"""
    scars: Nuisance = Nuisance(probability=0.08, strength=(0.2, 0.8))
    """pale stars to which folds run: how many"""
    tattoo: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.8))
    """stains of ink in the wall: how many and how dark"""
    clips: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.8))
    """metal clips that stand on the wall, most on a defect if there is one: how many"""
