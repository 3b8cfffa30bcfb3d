"""Models of Hugging Face's transformers as encoders."""

from tbe.encoders.huggingface.load import load_huggingface

__all__ = ["load_huggingface"]
