//! One JSON value per frame, each behind its length in four bytes, over any byte stream.
//! Promises: a frame arrives whole or not at all; reading can be cancelled between frames without losing bytes.
//! Must not know: what the values mean.

use std::io;

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::error::WireError;

/// Most bytes of one frame.
pub const MAX_FRAME: usize = 64 << 20;

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec()
}

fn explain(error: io::Error) -> WireError {
    match error.kind() {
        // The codec's own words for a length over the limit.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => WireError::TooLarge { limit: MAX_FRAME },
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => WireError::Closed,
        _ => WireError::Io(error),
    }
}

/// The JSON of a value, ready for [`FrameWriter::send_encoded`].
///
/// # Errors
/// The value cannot be JSON.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    serde_json::to_vec(value).map_err(WireError::Content)
}

/// Takes frames from a stream.
pub struct FrameReader<R> {
    frames: FramedRead<R, LengthDelimitedCodec>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self { frames: FramedRead::new(stream, codec()) }
    }

    /// The next value; `None` after the other side has closed between two frames. Cancel safe.
    ///
    /// # Errors
    /// The stream broke off inside a frame, the frame is too large, or it is not such a value.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        match self.frames.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(explain(error)),
            Some(Ok(bytes)) => serde_json::from_slice(&bytes).map(Some).map_err(WireError::Content),
        }
    }
}

/// Puts frames on a stream.
pub struct FrameWriter<W> {
    frames: FramedWrite<W, LengthDelimitedCodec>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Self {
        Self { frames: FramedWrite::new(stream, codec()) }
    }

    /// Send a value; returns when the stream has taken it.
    ///
    /// # Errors
    /// The other side is gone, or the value is too large.
    pub async fn send<T: Serialize>(&mut self, value: &T) -> Result<(), WireError> {
        self.send_encoded(encode(value)?).await
    }

    /// Send what [`encode`] gave.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send_encoded(&mut self, bytes: Vec<u8>) -> Result<(), WireError> {
        self.frames.send(Bytes::from(bytes)).await.map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn values_arrive_in_order_through_a_narrow_pipe() {
        let (near, far) = tokio::io::duplex(7);
        let sent: Vec<String> = (0..40).map(|n| "ü".repeat(n)).collect();
        let to_send = sent.clone();
        let sender = tokio::spawn(async move {
            let mut writer = FrameWriter::new(near);
            for text in &to_send {
                writer.send(text).await.unwrap();
            }
        });
        let mut reader = FrameReader::new(far);
        let mut got = Vec::new();
        while let Some(text) = reader.next::<String>().await.unwrap() {
            got.push(text);
        }
        sender.await.unwrap();
        assert_eq!(got, sent);
    }

    #[tokio::test]
    async fn broken_frames_are_errors_with_a_name() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[0, 0, 0, 9, b'"', b'a']).await.unwrap();
        drop(near);
        let broken = FrameReader::new(far).next::<String>().await.unwrap_err();
        assert!(matches!(broken, WireError::Closed | WireError::Io(_)), "{broken}");
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[0xff, 0xff, 0xff, 0xff]).await.unwrap();
        assert!(matches!(FrameReader::new(far).next::<String>().await, Err(WireError::TooLarge { .. })));
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[0, 0, 0, 1, b'7']).await.unwrap();
        assert!(matches!(FrameReader::new(far).next::<String>().await, Err(WireError::Content(_))));
    }

    #[tokio::test]
    async fn a_value_over_the_limit_is_not_sent() {
        let (near, _far) = tokio::io::duplex(64);
        let sent = FrameWriter::new(near).send_encoded(vec![b' '; MAX_FRAME + 1]).await;
        assert!(matches!(sent, Err(WireError::TooLarge { .. })), "{sent:?}");
    }
}
