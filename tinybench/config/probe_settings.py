"""Which settings matter to the probe of a backbone."""

PROBE_SETTINGS = (
    *("model", "weights", "dataset", "data.", "image_size", "backbone.", "network.", "head.pooling"),
    *("seed", "device", "engine", "precision", "deterministic"),
)
"""Keys of the settings, or beginnings of them, that affect a probe and are logged as parameters."""

NOT_OF_PROBES = (
    *("batch_size", "monitor", "callbacks", "data.folds", "model", "phases"),
    *("augment.", "optimizer.", "loss.", "scratch.", "transfer.", "finetune.", "explain.", "checkpoint."),
    *("head.dropout", "head.hidden", "head.l2", "head.batch_norm"),
    *("track.checkpoints", "track.pictures", "track.tensorboard"),
)
"""Keys of settings, or beginnings of them, that a probe does not take: they do not affect features."""
