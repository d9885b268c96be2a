//! What the breach detector promises.
