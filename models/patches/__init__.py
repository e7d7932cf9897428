"""A classifier of chips that serves as a detector, for classes whose labels have no boxes."""
