"""What is measured, how, and the last results. Nothing here is asserted: a test that fails on a slow day teaches nothing."""
