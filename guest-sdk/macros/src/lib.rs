//! The attribute macros of `verge-sdk`: they check a trigger function's shape and export it from
//! the component. Use them through `verge_sdk`, which they refer to.
//! All that a trigger does at run time is in `verge-sdk`; the macros emit only the glue to it.

use proc_macro::TokenStream;

mod check;
mod expand;

use expand::Trigger;

/// Runs the function for each request, before the cache is asked.
///
/// The function is `fn(&mut Request) -> Verdict`, or `-> Result<Verdict, E>` where `E: Display`.
/// It stays a plain function that tests can call.
#[proc_macro_attribute]
pub fn viewer_request(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Trigger::ViewerRequest, arguments.into(), item.into()).into()
}

/// Runs the function for each request that goes to an origin.
///
/// The function is `fn(&mut Request) -> Verdict`, or `-> Result<Verdict, E>` where `E: Display`.
/// It stays a plain function that tests can call.
#[proc_macro_attribute]
pub fn origin_request(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Trigger::OriginRequest, arguments.into(), item.into()).into()
}

/// Runs the function for each response of an origin, before it is stored.
///
/// The function is `fn(&Request, &mut Response)`, or returns `Result<(), E>` where `E: Display`.
/// It stays a plain function that tests can call.
#[proc_macro_attribute]
pub fn origin_response(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Trigger::OriginResponse, arguments.into(), item.into()).into()
}

/// Runs the function for each response, stored or not, before it is sent to the client.
///
/// The function is `fn(&Request, &mut Response)`, or returns `Result<(), E>` where `E: Display`.
/// It stays a plain function that tests can call.
#[proc_macro_attribute]
pub fn viewer_response(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Trigger::ViewerResponse, arguments.into(), item.into()).into()
}

/// Runs the function after the response, once for each payload that was left by `defer::later`.
///
/// The function is `fn(&[u8])`, or returns `Result<(), E>` where `E: Display`. It stays a plain
/// function that tests can call.
#[proc_macro_attribute]
pub fn deferred(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Trigger::Deferred, arguments.into(), item.into()).into()
}
