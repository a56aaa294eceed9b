"""One model over several processes: what is exchanged, by whom, and how they are started."""
