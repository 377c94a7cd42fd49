//! Clients, apply, wait, ownership labels, sweep; one provider a kind of cluster.
