"""What diego-medic sees: the config, the view of a foundation, the probes and the metrics. It only reads."""
