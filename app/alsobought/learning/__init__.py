"""What no view can count: tables learned from the events now and then, swapped in atomically."""
