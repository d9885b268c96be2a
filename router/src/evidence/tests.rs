//! What the shared evidence promises: builds and subjects apart, everything counted, memory bounded.
