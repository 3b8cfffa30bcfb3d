"""From a path to frames."""

from tbe.data.readers.base import DecodeError, OpenVideo, VideoReader
from tbe.data.readers.decord_reader import DecordReader
from tbe.data.readers.flow_folder import FlowFolderReader
from tbe.data.readers.frame_folder import FrameFolderReader

__all__ = ["DecodeError", "DecordReader", "FlowFolderReader", "FrameFolderReader", "OpenVideo", "VideoReader"]
