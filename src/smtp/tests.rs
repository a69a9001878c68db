//! Scripted relays.
