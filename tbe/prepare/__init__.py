"""Makes list files, and videos where needed, from data sets as they are published."""
