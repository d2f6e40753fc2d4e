//! What the conformance tests need: real sshd binaries, and configurations to ask both sides about.

pub mod generate;
pub mod oracle;
pub mod random;
pub mod values;
