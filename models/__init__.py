"""From blocks of pixels to a table of detections; torch is imported only by the modules that run it."""
