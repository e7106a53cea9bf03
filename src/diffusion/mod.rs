//! Noise schedule and samplers. Knows nothing of anomalies.
