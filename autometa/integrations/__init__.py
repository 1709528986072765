"""autometa's policies in the clothes of other optimisers."""
