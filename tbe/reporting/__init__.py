"""Tables, comparisons and pages that present what runs measured."""
