"""The Python API, for people who don't use Hydra. `import tbe` has its names."""
