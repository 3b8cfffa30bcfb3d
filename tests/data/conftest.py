"""Imports modules in the order in which the package does, for tests that import only some of them."""

# Before decord: loaded after it, torchvision finds decord's old zlib and reads no PNG.
import torchvision.io  # noqa: F401
