"""Ranges of instruments, and of what an endoscopist does to the wall."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance

NEVER = Nuisance(probability=0.0, strength=(0.2, 1.0))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InstrumentRanges:
    """Instruments, and what they leave behind; nothing of it has a label."""

    snare: Nuisance = NEVER
    """a loop of wire on a plastic tube, around a polyp: share of the time near polyps"""
    forceps: Nuisance = NEVER
    """two metal cups on a tube: share of the time near polyps"""
    needle: Nuisance = NEVER
    """a thin needle on a tube: share of the time near polyps"""
    cap: Nuisance = NEVER
    """a transparent cap on the scope's tip: how much its rim and its wall show"""
    jet: Nuisance = NEVER
    """a jet of water and its splash: share of the time"""
    lift: Nuisance = NEVER
    """mucosa lifted by an injection and dyed, some with a polyp on it: how many and how blue"""
    ulcers: Nuisance = NEVER
    """defects that a resection leaves: how many"""
    scars: Nuisance = NEVER
    """pale stars to which folds run: how many"""
    tattoo: Nuisance = NEVER
    """stains of ink in the wall: how many and how dark"""
    clips: Nuisance = NEVER
    """metal clips that stand on the wall, most on a defect if there is one: how many"""
