"""What is learnt: tables that no view fills, computed of the events now and then, and exchanged at one stroke."""
