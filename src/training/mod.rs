//! Training loop, optimiser, checkpoint, resume, logging.
