"""What some tests of data import is loaded in this order, as the package does."""

# Before decord: loaded after it, torchvision finds decord's old zlib and reads no PNG.
import torchvision.io  # noqa: F401
