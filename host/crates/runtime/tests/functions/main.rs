//! Component tests of the function host, through its public interface alone.

mod guests;
mod handler;
mod imports;
mod isolation;
mod kit;
mod kv;
mod limits;
mod loading;
mod messages;
mod streaming;
mod time;
