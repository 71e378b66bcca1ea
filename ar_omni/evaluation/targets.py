"""What each figure must reach, and what it aims at."""

from __future__ import annotations

from dataclasses import dataclass

from ar_omni.evaluation.figures import Figure


@dataclass(frozen=True)
class Target:
    """The least that a figure must reach (None: it is only reported), and its aim, in the figure's unit."""

    must: float | None
    aim: float

    def reached(self, figure: Figure) -> str:
        """`"aim"`, `"must"`, or `"missed"`; a figure without a must is then only `"reported"`."""
        sign = 1 if figure.better == "lower" else -1
        if sign * figure.value <= sign * self.aim:
            return "aim"
        if self.must is None:
            return "reported"
        return "must" if sign * figure.value <= sign * self.must else "missed"


TARGETS = {
    ("codec", "WER lost in the speech codec"): Target(3, 1),
    ("codec", "speech codes in use"): Target(90, 98),
    ("codec", "naturalness lost in the speech codec"): Target(0.4, 0.2),
    ("codec", "pictures nearest to themselves"): Target(99.5, 100),
    ("codec", "PSNR of pictures"): Target(24, 27),
    ("tts", "WER"): Target(15, 6.5),
    ("tts", "20-word sentences that end by themselves"): Target(97, 100),
    ("asr", "WER, the same voice"): Target(15, 9.4),
    ("asr", "WER, other synthetic voices"): Target(40, 20),
    ("asr", "WER, a real person"): Target(None, 50),
    ("draw", "right concept, trained on"): Target(80, 95),
    ("draw", "right style, trained on"): Target(95, 99),
    ("draw", "right concept, never trained on"): Target(40, 70),
    ("describe", "right name, trained on"): Target(80, 95),
    ("describe", "right name, another view"): Target(80, 95),
    ("describe", "right name, never trained on"): Target(80, 95),
    ("spoken", "right picture"): Target(70, 90),
    ("chat", "turns answered rightly"): Target(80, 95),
    ("limits", "honest about unknown things"): Target(80, 95),
    ("limits", "rightly: known, in other words"): Target(None, 95),
}
"""(suite, figure's title) -> target. The aims of tts and asr are what the paper's 7B model reaches."""
