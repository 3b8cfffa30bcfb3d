"""Attentive probe: a learned query looks at the tokens of a frozen network."""

from tbe.evaluation.tasks.attentive.task import AttentiveProbe

__all__ = ["AttentiveProbe"]
