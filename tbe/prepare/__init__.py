"""Makes list files, and videos if needed, from data sets in their published form."""
