//! Properties of the engine's parts, each against a model that is slow and plain.

mod buffer;
mod congestion;
mod options;
mod ranges;
mod receive;
mod seq;
mod tuning;
