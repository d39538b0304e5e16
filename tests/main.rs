//! What the whole program promises, tried from outside.

#[cfg(target_os = "linux")]
mod code;
