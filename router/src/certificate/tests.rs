//! What certificates promise.
