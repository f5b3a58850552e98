//! `verge:edge/config`, and the same settings as `wasi:config/store`.

use crate::bindings::verge::edge::config;
use crate::bindings::wasi::config::store;
use crate::capabilities::ConfigValue;
use crate::state::CallState;

impl config::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.hostcall()?;
        Ok(self.capabilities().config(&name))
    }

    fn get_value(&mut self, name: String) -> wasmtime::Result<Option<config::Value>> {
        self.hostcall()?;
        let value = self.capabilities().config_value(&name);
        Ok(value.map(|value| match value {
            ConfigValue::Text(text) => config::Value::Text(text),
            ConfigValue::Integer(number) => config::Value::Integer(number),
            ConfigValue::Float(number) => config::Value::Float(number),
            ConfigValue::Boolean(is) => config::Value::Boolean(is),
        }))
    }
}

impl store::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        self.hostcall()?;
        Ok(Ok(self.capabilities().config(&name)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        self.hostcall()?;
        Ok(Ok(self.capabilities().config_all()))
    }
}
