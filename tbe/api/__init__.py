"""The Python API for use without Hydra; its names are exported by `import tbe`."""
