"""What stitches cost on a device: parts are measured, stitches predicted, and the prediction checked."""
