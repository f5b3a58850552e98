//! What the attributes expand to: the function as it was, a check of its types on every target,
//! and its export in a component.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{FnArg, ItemFn, ReturnType, Type};

use crate::check;

/// The point in the request path at which a function runs.
#[derive(Clone, Copy)]
pub(crate) enum Trigger {
    ViewerRequest,
    OriginRequest,
    OriginResponse,
    ViewerResponse,
    Deferred,
}

impl Trigger {
    /// Its attribute, and the module of its bindings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ViewerRequest => "viewer_request",
            Self::OriginRequest => "origin_request",
            Self::OriginResponse => "origin_response",
            Self::ViewerResponse => "viewer_response",
            Self::Deferred => "deferred",
        }
    }

    pub(crate) fn is_request(self) -> bool {
        matches!(self, Self::ViewerRequest | Self::OriginRequest)
    }

    /// The shape that its function has, for messages.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::ViewerRequest | Self::OriginRequest => {
                "fn name(request: &mut Request) -> Result<Verdict, Error>"
            }
            Self::OriginResponse | Self::ViewerResponse => {
                "fn name(request: &Request, response: &mut Response) -> Result<(), Error>"
            }
            Self::Deferred => "fn name(payload: &[u8]) -> Result<(), Error>",
        }
    }

    /// How many parameters its function has.
    pub(crate) fn parameters(self) -> usize {
        match self {
            Self::ViewerRequest | Self::OriginRequest | Self::Deferred => 1,
            Self::OriginResponse | Self::ViewerResponse => 2,
        }
    }
}

pub(crate) fn expand(trigger: Trigger, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match check::function(trigger, &arguments, item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            // What is not a function stays as it is, so that only one thing is wrong with it.
            return quote!(#item #error);
        }
    };
    let call = call(trigger, &function);
    let export = export(trigger);
    quote! {
        #function

        const _: () = {
            #call
            #export
        };
    }
}

/// `CALL`: the function with the trigger's own types. The spans are those of the developer's
/// types, so that the compiler's complaints point at them.
fn call(trigger: Trigger, function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let returns = match &function.sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, kind) => kind.span(),
    };
    let names = match trigger {
        Trigger::Deferred => ["payload", ""],
        _ => ["request", "response"],
    };
    let inputs = function.sig.inputs.iter().zip(names);
    let parameters = inputs.map(|(argument, name)| Ident::new(name, type_span(argument)));
    let arguments = quote!(#(#parameters),*);
    let outcome = Ident::new("outcome", returns);
    if trigger.is_request() {
        quote! {
            const CALL: fn(&mut ::verge_sdk::Request)
                -> ::core::result::Result<::verge_sdk::Verdict, ::std::string::String> =
                |#arguments| {
                    let #outcome = #name(#arguments);
                    ::verge_sdk::__private::IntoVerdict::into_verdict(#outcome)
                };
        }
    } else if matches!(trigger, Trigger::Deferred) {
        quote! {
            const CALL: fn(&[u8])
                -> ::core::result::Result<(), ::std::string::String> =
                |#arguments| {
                    let #outcome = #name(#arguments);
                    ::verge_sdk::__private::IntoDone::into_done(#outcome)
                };
        }
    } else {
        quote! {
            const CALL: fn(&::verge_sdk::Request, &mut ::verge_sdk::Response)
                -> ::core::result::Result<(), ::std::string::String> =
                |#arguments| {
                    let #outcome = #name(#arguments);
                    ::verge_sdk::__private::IntoDone::into_done(#outcome)
                };
        }
    }
}

fn type_span(argument: &FnArg) -> Span {
    match argument {
        FnArg::Receiver(receiver) => receiver.span(),
        FnArg::Typed(typed) => match &*typed.ty {
            // A span that stable compilers join covers one token: the one that says most.
            Type::Reference(reference) => reference.elem.span(),
            other => other.span(),
        },
    }
}

/// The export of the component. Native builds only look at `CALL`.
fn export(trigger: Trigger) -> TokenStream {
    let module = Ident::new(trigger.name(), Span::call_site());
    let private = quote!(::verge_sdk::__private);
    let (parameters, output, arguments) = if trigger.is_request() {
        (
            quote!(request: &#private::RequestHandle),
            quote!(#private::bindings::#module::Verdict),
            quote!(request),
        )
    } else if matches!(trigger, Trigger::Deferred) {
        (
            quote!(payload: ::std::vec::Vec<u8>),
            quote!(()),
            quote!(&payload),
        )
    } else {
        (
            quote!(request: &#private::RequestHandle, response: &#private::ResponseHandle),
            quote!(()),
            quote!(request, response),
        )
    };
    quote! {
        #[cfg(not(target_arch = "wasm32"))]
        let _ = CALL;

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "a component's export is a symbol with a fixed name")]
        const _: () = {
            struct Export;
            impl #private::bindings::#module::Guest for Export {
                fn handle(#parameters)
                    -> ::core::result::Result<#output, ::std::string::String>
                {
                    #private::#module(#arguments, CALL)
                }
            }
            #private::bindings::#module::export!(Export);
        };
    }
}
