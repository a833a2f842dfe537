"""What the pipes must beat: the methods people would otherwise use, each a module that learns from purchases and recommends."""
