//! A standard `wasi:http` 0.2 component, without the SDK: it runs as a route's target here, and
//! unmodified under `wasmtime serve`. It greets the path and streams the request's content back.

/// What it says before it repeats the content.
fn greeting(method: &str, path: &str) -> String {
    // The path is text for a terminal or a page: nothing in it is shown as anything else.
    let path: String = path.chars().filter(|c| !c.is_control()).collect();
    format!("Hello from Verge! You asked for {path} with {method}.\n")
}

#[cfg(target_arch = "wasm32")]
mod component;

#[cfg(not(target_arch = "wasm32"))]
const _: fn(&str, &str) -> String = greeting;

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn greeting_names_method_and_path() {
        let text = greeting("GET", "/a?b=c");
        assert_eq!(text, "Hello from Verge! You asked for /a?b=c with GET.\n");
    }

    #[test]
    fn control_characters_are_not_repeated() {
        assert!(!greeting("GET", "/\u{1b}[31m").contains('\u{1b}'));
    }
}
