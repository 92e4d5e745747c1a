//! What parent and worker say to each other over the worker's descriptor 0, an `AF_UNIX` stream
//! socket.
//!
//! A frame is a little-endian `u32` length and that many bytes of postcard. The descriptor of a
//! layer's file comes as `SCM_RIGHTS` with the four length bytes of [`Request::Analyze`]. Both ends
//! are of one release, so there is a version to refuse by and nothing to negotiate.

use jinwu_model::Digest;
use jinwu_model::report::{Engines, UnscannableReason};
use serde::{Deserialize, Serialize};

/// Raised with every change to a message or to [`LayerAnalysis`](crate::analysis::LayerAnalysis).
pub const VERSION: u32 = 1;

/// Largest frame either side accepts.
pub const MAX_FRAME: u32 = 128 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Analyse the file that comes with this frame; bytes up to `available` may be read.
    Analyze { digest: Option<Digest>, available: u64, finished: Option<u64> },
    Available(u64),
    Finished(u64),
    /// Answer [`Response::Aborted`], unless the answer is already out.
    Abort,
    /// Followed by one `ComposeLayer` per layer in state `Analysed`, then `ComposeEnd`.
    ComposeBegin {
        image: Digest,
        manifest: Vec<u8>,
        manifest_media_type: String,
        config: Vec<u8>,
        config_media_type: String,
        layers: Vec<LayerHeader>,
    },
    ComposeLayer(Vec<u8>),
    ComposeEnd,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    /// First frame: rules are loaded, the sandbox stands.
    Hello { protocol: u32, engines: Engines, warnings: Vec<String> },
    /// Instead of a hello: what is missing.
    Failed { detail: String },
    Analysis { diff_id: Digest, bytes: Vec<u8> },
    NotALayer,
    Unscannable { reason: UnscannableReason, detail: String },
    Aborted,
    /// An `ImageReport` as JSON.
    Report(Vec<u8>),
}

/// A layer of the image to compose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LayerHeader {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) state: LayerState,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LayerState {
    Analysed,
    NotALayer,
    Unscannable(UnscannableReason, String),
}

/// A whole frame: length and body.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(|e| format!("message cannot be written: {e}"))?;
    let length = u32::try_from(frame.len() - 4).ok().filter(|n| *n <= MAX_FRAME);
    let length = length.ok_or_else(|| format!("message of {} bytes is larger than a frame may be", frame.len()))?;
    if let Some(head) = frame.get_mut(..4) {
        head.copy_from_slice(&length.to_le_bytes());
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let frame = encode(&Request::Finished(300)).unwrap();
        let (head, body) = frame.split_at(4);
        assert_eq!(u32::from_le_bytes(head.try_into().unwrap()) as usize, body.len());
        assert!(matches!(postcard::from_bytes(body), Ok(Request::Finished(300))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = postcard::from_bytes::<Request>(&bytes);
            let _ = postcard::from_bytes::<Response>(&bytes);
        }
    }
}
