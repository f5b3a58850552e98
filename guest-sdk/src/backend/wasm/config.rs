//! `verge:edge/config`.

use super::bindings::imports::verge::edge::config;
use crate::config::Value;

pub(crate) fn get(name: &str) -> Option<String> {
    config::get(name)
}

pub(crate) fn value(name: &str) -> Option<Value> {
    config::get_value(name).map(|value| match value {
        config::Value::Text(text) => Value::Text(text),
        config::Value::Integer(number) => Value::Integer(number),
        config::Value::Float(number) => Value::Float(number),
        config::Value::Boolean(is) => Value::Boolean(is),
    })
}
