//! The comparison of what a step says with what the client and the origin got.

use verge_tests::{Recorded, Reply};

use super::{CONTENT, HANG_UP, Proxy, Step, date_of};

impl Proxy {
    pub(super) fn judge(
        &self,
        step: &Step,
        reply: &Reply,
        asked: &[Recorded],
    ) -> Result<(), String> {
        // What is closed without a response may be tried once more, on another connection.
        let hung_up = step
            .answers
            .last()
            .is_some_and(|last| last.status == HANG_UP);
        let retried = usize::from(hung_up && asked.len() > step.answers.len());
        if asked.len() != step.answers.len() + retried {
            return Err(format!(
                "the origin was asked {} times, not {}",
                asked.len(),
                step.answers.len()
            ));
        }
        if reply.status != step.status {
            return Err(format!("status {}, not {}", reply.status, step.status));
        }
        judge_body(step, reply)?;
        judge_cache(step.cache, &reply.cache_status())?;
        if let Some(expected) = step.age {
            let age: Option<u64> = reply.field("age").parse().ok();
            if !age.is_some_and(|age| (expected..=expected + 3).contains(&age)) {
                return Err(format!("Age {age:?}, not {expected}"));
            }
        }
        for (name, value) in &step.gives {
            let value = date_of(value, self.now);
            if reply.field(name) != value {
                return Err(format!("{name}: {:?}, not {value:?}", reply.field(name)));
            }
        }
        if let Some(name) = step.lacks.iter().find(|n| reply.fields.contains_key(**n)) {
            return Err(format!("{name}: {:?} is sent", reply.field(name)));
        }
        self.judge_request(step, asked)
    }

    fn judge_request(&self, step: &Step, asked: &[Recorded]) -> Result<(), String> {
        for (name, value) in &step.asked_with {
            let value = date_of(value, self.now);
            let first = asked.first().and_then(|request| request.field(name));
            if first != Some(value.as_str()) {
                return Err(format!("the origin got {name}: {first:?}, not {value:?}"));
            }
        }
        for name in &step.asked_without {
            let last = asked.last().and_then(|request| request.field(name));
            if last.is_some() {
                return Err(format!("the origin got {name}: {last:?}"));
            }
        }
        Ok(())
    }
}

fn judge_body(step: &Step, reply: &Reply) -> Result<(), String> {
    let has_none = step.method == "HEAD" || matches!(step.status, 204 | 304 | 416);
    let scripted = step.answers.last().map_or(CONTENT, |answer| answer.body);
    let expected = match step.body {
        Some(body) => body,
        None if has_none => "",
        // Made by the node.
        None if step.status == 504 && step.answers.is_empty() => return Ok(()),
        None if step.status >= 500 && step.answers.iter().any(|a| a.status == HANG_UP) => {
            return Ok(());
        }
        None if step.status >= 500 && step.answers.last().is_some_and(|a| a.status == 304) => {
            return Ok(());
        }
        None => scripted,
    };
    if reply.text() == expected {
        Ok(())
    } else {
        Err(format!("content {:?}, not {expected:?}", reply.text()))
    }
}

/// Every word of `expected` is a parameter of our member, the last one.
fn judge_cache(expected: &str, cache_status: &str) -> Result<(), String> {
    let ours = cache_status.rsplit("verge").next().unwrap_or_default();
    let words: Vec<&str> = ours.split(';').map(str::trim).collect();
    for word in expected.split_whitespace() {
        let (word, wanted) = match word.strip_prefix('!') {
            Some(word) => (word, false),
            None => (word, true),
        };
        if words.contains(&word) != wanted {
            return Err(format!("Cache-Status is not {expected:?}"));
        }
    }
    Ok(())
}
