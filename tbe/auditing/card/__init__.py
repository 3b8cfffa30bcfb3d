"""The card of one or several audits of the same videos, as one HTML page and as Markdown."""
