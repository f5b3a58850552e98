//! A function's settings, in the runtime's words.

use verge_config::Setting;
use verge_runtime::capabilities::ConfigValue;

pub(super) fn value(setting: &Setting) -> ConfigValue {
    match setting {
        Setting::Text(text) => ConfigValue::Text(text.clone()),
        Setting::Integer(number) => ConfigValue::Integer(*number),
        Setting::Float(number) => ConfigValue::Float(*number),
        Setting::Boolean(is) => ConfigValue::Boolean(*is),
    }
}
