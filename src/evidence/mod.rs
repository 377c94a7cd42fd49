//! Journal, hash chain, bundle, verification.
