"""What the demo project works on: a small shop service and the embedded model."""
