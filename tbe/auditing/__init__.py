"""Audits: how much any video model depends on the background, as numbers with intervals and as a card.

Named apart from `tbe.audit`, the function, which a package of that name would hide.
"""
