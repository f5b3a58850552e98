//! Makes one coded representation, on a task of its own: content from a stored
//! response, a fill or an origin goes through a coder, step by step off the
//! workers, to whoever reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use verge_base::Permit;
use verge_cache::DerivedWriter;
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};

use super::coder::Coder;
use crate::node::NodeState;

/// Most bytes that are coded in one step.
const STEP_BYTES: usize = 64 << 10;

/// When content stops coming for this long, what has come is sent on.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// One representation that is being made.
pub(super) struct Making {
    pub(super) source: Body,
    /// All of the content is here: it is coded to its end, whoever reads.
    pub(super) is_complete: bool,
    pub(super) coder: Coder,
    pub(super) writer: DerivedWriter,
    /// Its place among those that are made at once.
    pub(super) permit: Permit,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is kept.
    Kept,
    /// It was passed on only.
    Passed,
    /// Nobody read any more.
    Unread,
    /// There is no more content.
    Failed(Failure),
}

/// What the content does next.
enum Next {
    Data(Bytes),
    Pause,
    End(Option<HeaderMap>),
    Unread,
    Failed(Failure),
}

/// What the coder does in one step.
enum Step {
    Write(Bytes),
    Flush,
}

impl Making {
    /// Makes it, on a task that outlives the request.
    pub(super) fn start(self, node: &Arc<NodeState>) {
        let node = Arc::clone(node);
        let guard = node.drain.guard();
        tokio::spawn(async move {
            let steps = Arc::clone(&node.compression.steps);
            let (ended, bytes) = self.run(&steps).await;
            let metrics = node.telemetry.metrics();
            metrics.record_compression(ended.label(), bytes);
            drop(guard);
        });
    }

    async fn run(mut self, steps: &Arc<Semaphore>) -> (Ended, CodedBytes) {
        let mut bytes = CodedBytes::default();
        let permit = self.permit;
        // What was taken and not given out yet.
        let mut is_held = false;
        let ended = loop {
            let next = next(&mut self.source, &self.writer, self.is_complete, is_held).await;
            let step = match next {
                Next::Data(data) => Step::Write(data),
                Next::Pause => Step::Flush,
                Next::Unread => break Ended::Unread,
                Next::Failed(failure) => {
                    self.writer.abort(failure);
                    break Ended::Failed(failure);
                }
                Next::End(trailers) => {
                    let end = finish(self.coder, self.writer, trailers, steps, &mut bytes);
                    break end.await.unwrap_or_else(|stop| stop);
                }
            };
            is_held = matches!(step, Step::Write(_));
            match code(self.coder, &mut self.writer, step, steps, &mut bytes).await {
                Ok(coder) => self.coder = coder,
                Err(stop) => break stop,
            }
        };
        drop(permit);
        (ended, bytes)
    }
}

/// Content and coded bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct CodedBytes {
    /// Bytes of content.
    pub content: u64,
    /// What became of them.
    pub coded: u64,
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Passed => "passed",
            Self::Unread => "unread",
            Self::Failed(_) => "failed",
        }
    }
}

async fn next(source: &mut Body, writer: &DerivedWriter, is_complete: bool, is_held: bool) -> Next {
    let unread = async {
        if is_complete {
            std::future::pending::<()>().await;
        }
        writer.unread().await;
    };
    let frame = async {
        if is_held {
            timeout(FLUSH_AFTER, source.frame()).await.ok()
        } else {
            Some(source.frame().await)
        }
    };
    let frame = tokio::select! {
        biased;
        frame = frame => frame,
        () = unread => return Next::Unread,
    };
    match frame {
        None => Next::Pause,
        Some(None) => Next::End(None),
        Some(Some(Err(failure))) => Next::Failed(failure),
        Some(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Next::Data(data),
            Err(frame) => Next::End(frame.into_trailers().ok()),
        },
    }
}

/// Codes one piece of content, and gives out what comes of it.
async fn code(
    coder: Coder,
    writer: &mut DerivedWriter,
    step: Step,
    steps: &Arc<Semaphore>,
    bytes: &mut CodedBytes,
) -> Result<Coder, Ended> {
    let mut data = match step {
        Step::Write(data) => data,
        Step::Flush => {
            let flush = run(steps, coder, |coder| coder.flush());
            let (coder, coded) = flush.await?;
            push(writer, coded, bytes).await?;
            return Ok(coder);
        }
    };
    let mut coder = coder;
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(STEP_BYTES));
        bytes.content = bytes.content.saturating_add(piece.len() as u64);
        let (next, coded) = run(steps, coder, move |coder| coder.write(&piece)).await?;
        coder = next;
        push(writer, coded, bytes).await?;
    }
    Ok(coder)
}

async fn finish(
    coder: Coder,
    mut writer: DerivedWriter,
    trailers: Option<HeaderMap>,
    steps: &Arc<Semaphore>,
    bytes: &mut CodedBytes,
) -> Result<Ended, Ended> {
    let coded = {
        let _turn = steps.acquire().await.map_err(|_| INTERNAL)?;
        let finished = spawn_blocking(move || coder.finish()).await;
        finished.map_err(|_| INTERNAL)?.map_err(|_| INTERNAL)?
    };
    push(&mut writer, coded, bytes).await?;
    Ok(if writer.finish(bytes.content, trailers) {
        Ended::Kept
    } else {
        Ended::Passed
    })
}

/// A coder that does not take what it gets; its writer is dropped, which ends its readers.
const INTERNAL: Ended = Ended::Failed(Failure::Node(NodeFault::Internal));

/// One step of a coder where it holds up nobody; so many at once as there are cores.
async fn run(
    steps: &Arc<Semaphore>,
    mut coder: Coder,
    step: impl FnOnce(&mut Coder) -> std::io::Result<Vec<u8>> + Send + 'static,
) -> Result<(Coder, Vec<u8>), Ended> {
    let _turn = steps.acquire().await.map_err(|_| INTERNAL)?;
    let ran = spawn_blocking(move || {
        let coded = step(&mut coder)?;
        Ok::<_, std::io::Error>((coder, coded))
    });
    ran.await.map_err(|_| INTERNAL)?.map_err(|_| INTERNAL)
}

async fn push(
    writer: &mut DerivedWriter,
    coded: Vec<u8>,
    bytes: &mut CodedBytes,
) -> Result<(), Ended> {
    bytes.coded = bytes.coded.saturating_add(coded.len() as u64);
    if coded.is_empty() {
        return Ok(());
    }
    writer
        .push(Bytes::from(coded))
        .await
        .map_err(|_| Ended::Unread)
}
