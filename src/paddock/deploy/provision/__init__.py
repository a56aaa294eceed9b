"""From a wish and the facts to the steps that make a machine match: one file per subject."""
