//! One integration binary; each module is a family of promises.

mod codec;
mod conformance;
mod declared;
mod derived;
mod fold;
mod interop;
mod pipeline;
mod rules;
mod samples;
mod tidy;
mod up;
