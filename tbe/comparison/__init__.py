"""Runs of a sweep compared over seeds: a table and pictures with intervals. python -m tbe.comparison --help"""
