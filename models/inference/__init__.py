"""What a survey runs of a network: tiles in, boxes out, the same bits however the work is cut."""
