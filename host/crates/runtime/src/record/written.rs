//! What a call came to: the message as the function left it.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::blob::Blob;
use super::input::field_list;
use crate::call::{Committed, PARTLY_READ, Returned, Shared, Step};
use crate::state::{CallState, GIVEN_RESPONSE, ResponseState};

/// Notes what a step came to, if its call is recorded or repeated.
pub(crate) fn note_step(shared: &Shared, step: &mut Step) {
    let Some(tape) = &shared.tape else { return };
    let (message, content) = match step {
        Step::NotRun(..) => return,
        Step::Running(committed, ..) | Step::Ended(_, Some(committed), _) => {
            (committed_head(committed), None)
        }
        Step::Ended(end, None, _) => match &end.result {
            Ok(Returned::Respond(number)) => {
                let response = end.state.responses.get_mut(*number);
                response.map_or((Value::Null, None), |response| told(response))
            }
            Ok(Returned::Next | Returned::Handled) => gone_on(&mut end.state),
            Err(_) => return,
        },
    };
    tape.roll.note_message(message);
    if let Some(content) = content {
        tape.roll.note_written(&content);
    }
}

type Told = (Value, Option<Vec<u8>>);

/// A message that goes on: the response that was given, or the request.
fn gone_on(state: &mut CallState) -> Told {
    if let Some(response) = state.responses.get_mut(GIVEN_RESPONSE) {
        return told(response);
    }
    let Some(request) = &state.request else {
        return (Value::Null, None);
    };
    let head = &request.head;
    let (authority, path) = (&head.authority, &head.path_and_query);
    let message = json!({
        "method": head.method.as_str(),
        "uri": format!("{}://{authority}{path}", head.scheme),
        "fields": field_list(&head.fields),
        "origin": request.effects.origin,
        "key_parts": request.effects.key_parts,
    });
    (
        message,
        request.content.replaced().map(|content| content.to_vec()),
    )
}

fn told(response: &ResponseState) -> Told {
    let message = response_head(response.head.status, &response.head.headers);
    (
        message,
        response.content.replaced().map(|content| content.to_vec()),
    )
}

fn response_head(status: StatusCode, fields: &HeaderMap) -> Value {
    json!({ "status": status.as_u16(), "fields": field_list(fields) })
}

fn committed_head(committed: &Committed) -> Value {
    match committed {
        Committed::Trigger(messages) => match &messages.response {
            Some(response) => response_head(response.head.status, &response.head.headers),
            None => Value::Null,
        },
        Committed::Handler(answer) | Committed::Service(answer) => match &**answer {
            Ok(response) => response_head(response.status(), response.headers()),
            Err(code) => json!({ "error": code }),
        },
        Committed::Passed(response) => response_head(response.status(), response.headers()),
        Committed::FailedBehind(error) => {
            json!({ "error": Blob(error.to_string().into_bytes()) })
        }
        Committed::PartlyRead => json!({ "error": PARTLY_READ }),
    }
}
