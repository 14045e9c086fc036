"""What starts runs by itself: one module per sensor, each a pure plan with a thin shell."""
