"""From blocks of pixels to detections; torch is imported only by the modules that run it."""
