"""Any video encoder behind one small contract."""

from tbe.encoders.base import Encoder, Encoding, InputSpec
from tbe.encoders.load import is_encoder_name, load_encoder
from tbe.encoders.report import LoadReport

__all__ = ["Encoder", "Encoding", "InputSpec", "LoadReport", "is_encoder_name", "load_encoder"]
