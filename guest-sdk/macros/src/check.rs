//! What can be said about a trigger function before the compiler knows its types: each complaint
//! stands at the place that is wrong, and all come at once.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Item, ItemFn, ReturnType, Signature, Type};

use crate::expand::Trigger;

/// The function that the attribute stands on, if it has a trigger's shape.
pub(crate) fn function(
    trigger: Trigger,
    arguments: &TokenStream,
    item: TokenStream,
) -> Result<ItemFn, Error> {
    let mut errors = Errors(None);
    if !arguments.is_empty() {
        let text = format!("`{}` takes no arguments", trigger.name());
        errors.add(Error::new(arguments.span(), text));
    }
    match syn::parse2(item)? {
        Item::Fn(function) => {
            qualifiers(&function.sig, &mut errors);
            parameters(trigger, &function.sig, &mut errors);
            output(trigger, &function.sig, &mut errors);
            errors.none().map(|()| function)
        }
        other => {
            let (name, shape) = (trigger.name(), trigger.shape());
            let text = format!("`{name}` stands on a function: `{shape}`");
            errors.add(Error::new(first_span(&other), text));
            Err(errors.0.unwrap_or_else(|| Error::new(other.span(), name)))
        }
    }
}

struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn none(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}

/// `struct` rather than the whole of it.
fn first_span(item: &Item) -> proc_macro2::Span {
    let mut tokens = quote::ToTokens::to_token_stream(item).into_iter();
    tokens
        .next()
        .map_or_else(|| item.span(), |token| token.span())
}

fn qualifiers(signature: &Signature, errors: &mut Errors) {
    if let Some(word) = &signature.asyncness {
        let text = "a trigger is not `async`: its calls to the host wait by themselves";
        errors.add(Error::new(word.span(), text));
    }
    if let Some(word) = &signature.unsafety {
        errors.add(Error::new(word.span(), "a trigger is not `unsafe`"));
    }
    if let Some(abi) = &signature.abi {
        let text = "a trigger is a plain function; the attribute exports it";
        errors.add(Error::new(abi.span(), text));
    }
    let generics = &signature.generics;
    if generics.type_params().next().is_some() || generics.const_params().next().is_some() {
        let text = "a trigger has no type parameters: nobody could choose them";
        errors.add(Error::new(generics.span(), text));
    }
}

fn parameters(trigger: Trigger, signature: &Signature, errors: &mut Errors) {
    let wanted = trigger.parameters();
    if signature.inputs.len() != wanted {
        let (name, shape) = (trigger.name(), trigger.shape());
        let plural = if wanted == 1 { "" } else { "s" };
        let text = format!("`{name}` has {wanted} parameter{plural}: `{shape}`");
        errors.add(Error::new(signature.paren_token.span.join(), text));
        return;
    }
    for (position, argument) in signature.inputs.iter().enumerate() {
        match argument {
            FnArg::Receiver(receiver) => {
                let text = "a trigger is a free function, without `self`";
                errors.add(Error::new(receiver.span(), text));
            }
            FnArg::Typed(_) if matches!(trigger, Trigger::Deferred) => {}
            FnArg::Typed(typed) => reference(trigger, position, &typed.ty, errors),
        }
    }
}

/// Requests and responses are lent, and a response trigger cannot change its request.
fn reference(trigger: Trigger, position: usize, kind: &Type, errors: &mut Errors) {
    let fixed = !trigger.is_request() && position == 0;
    let wanted = match (fixed, position) {
        (true, _) => "&Request",
        (false, 0) => "&mut Request",
        (false, _) => "&mut Response",
    };
    match kind {
        Type::Reference(reference) if fixed => {
            if let Some(word) = &reference.mutability {
                let text = "the request can no longer be changed here: take `&Request`";
                errors.add(Error::new(word.span(), text));
            }
        }
        // A type that is not written as a reference may still be an alias of one.
        Type::Path(path) if path.path.segments.last().is_some_and(is_message) => {
            let text = format!("it stays with the host: take `{wanted}`");
            errors.add(Error::new(kind.span(), text));
        }
        _ => {}
    }
}

fn is_message(segment: &syn::PathSegment) -> bool {
    segment.ident == "Request" || segment.ident == "Response"
}

fn output(trigger: Trigger, signature: &Signature, errors: &mut Errors) {
    if trigger.is_request() && matches!(signature.output, ReturnType::Default) {
        let text = "a request trigger decides: it returns `Verdict` or `Result<Verdict, E>`";
        errors.add(Error::new(signature.paren_token.span.close(), text));
    }
}
