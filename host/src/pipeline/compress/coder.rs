//! The coders: bytes in, coded bytes out, in steps. They run off the workers,
//! so nothing here waits or is shared.

use std::io::{self, Write};

use verge_http::coding::Coding;

/// Smallest and largest window, in bits: 64 KiB and 1 MiB. A larger one takes more memory
/// than what it gains on the sizes that are served here is worth.
const WINDOW_BITS: (u32, u32) = (16, 20);

/// How hard each coder works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// 0 to 11.
    pub brotli: u8,
    /// 1 to 19.
    pub zstd: u8,
    /// 1 to 9.
    pub gzip: u8,
}

/// What is to be coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoderPlan {
    pub(super) coding: Coding,
    pub(super) levels: Levels,
    /// The bytes of content, if that is known.
    pub(super) length: Option<u64>,
}

/// One coder at work.
pub(super) enum Coder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl CoderPlan {
    fn window_bits(self) -> u32 {
        let (least, most) = WINDOW_BITS;
        let needed = self
            .length
            .map_or(most, |length| u64::BITS - length.leading_zeros());
        needed.clamp(least, most)
    }

    /// About how many bytes the coder takes while it works.
    pub(super) fn memory(self) -> u64 {
        let window = 1_u64 << self.window_bits();
        match self.coding {
            // The window twice, and hash tables of about its size.
            Coding::Brotli => 4 * window + (512 << 10),
            Coding::Zstd => 3 * window + (256 << 10),
            Coding::Gzip => 320 << 10,
        }
    }
}

impl Coder {
    /// # Errors
    /// The coder does not take its settings.
    pub(super) fn new(plan: CoderPlan) -> io::Result<Self> {
        let levels = plan.levels;
        Ok(match plan.coding {
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                u32::from(levels.brotli),
                plan.window_bits(),
            ))),
            Coding::Zstd => {
                let level = i32::from(levels.zstd);
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                encoder.window_log(plan.window_bits())?;
                Self::Zstd(encoder)
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(u32::from(levels.gzip));
                Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Brotli(coder) => coder,
            Self::Zstd(coder) => coder,
            Self::Gzip(coder) => coder,
        }
    }

    fn take_coded(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Brotli(coder) => coder.get_mut(),
            Self::Zstd(coder) => coder.get_mut(),
            Self::Gzip(coder) => coder.get_mut(),
        })
    }

    /// Takes content, and gives what is coded by now.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        self.writer().write_all(content)?;
        Ok(self.take_coded())
    }

    /// Gives all of what was taken so far.
    pub(super) fn flush(&mut self) -> io::Result<Vec<u8>> {
        self.writer().flush()?;
        Ok(self.take_coded())
    }

    /// Gives the rest.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(coder) => Ok(coder.into_inner()),
            Self::Zstd(coder) => coder.finish(),
            Self::Gzip(coder) => coder.finish(),
        }
    }
}

/// Bytes that the Brotli coder gives out at once.
const BROTLI_BUFFER: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    const LEVELS: Levels = Levels {
        brotli: 5,
        zstd: 3,
        gzip: 6,
    };

    fn plan(coding: Coding, length: Option<u64>) -> CoderPlan {
        CoderPlan {
            coding,
            levels: LEVELS,
            length,
        }
    }

    fn decode(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let read = match coding {
            Coding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut content),
            Coding::Zstd => zstd::stream::read::Decoder::new(coded)
                .expect("a frame")
                .read_to_end(&mut content),
            Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut content),
        };
        read.expect("valid");
        content
    }

    #[test]
    fn what_is_flushed_can_be_decoded_at_once() {
        for coding in Coding::ALL {
            let mut coder = Coder::new(plan(coding, None)).expect("settings");
            let mut coded = coder.write(b"first").expect("memory");
            coded.extend(coder.flush().expect("memory"));
            let mut start = [0; 5];
            let read = match coding {
                Coding::Brotli => brotli::Decompressor::new(&*coded, 64).read_exact(&mut start),
                Coding::Zstd => zstd::stream::read::Decoder::new(&*coded)
                    .expect("a frame")
                    .read_exact(&mut start),
                Coding::Gzip => flate2::read::GzDecoder::new(&*coded).read_exact(&mut start),
            };
            read.expect("five bytes");
            assert_eq!(&start, b"first", "{coding:?}");
        }
    }

    #[test]
    fn windows_follow_the_length() {
        for (length, bits) in [
            (Some(0), 16),
            (Some(65_535), 16),
            (Some(65_536), 17),
            (Some(1 << 30), 20),
            (None, 20),
        ] {
            assert_eq!(plan(Coding::Zstd, length).window_bits(), bits, "{length:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn content_comes_back_however_it_was_cut(
            pieces in proptest::collection::vec(("[ab]{0,400}", any::<bool>()), 0..8),
        ) {
            for coding in Coding::ALL {
                let length = pieces.iter().map(|(text, _)| text.len() as u64).sum();
                let mut coder = Coder::new(plan(coding, Some(length))).expect("settings");
                let (mut content, mut coded) = (Vec::new(), Vec::new());
                for (text, flushes) in &pieces {
                    content.extend_from_slice(text.as_bytes());
                    coded.extend(coder.write(text.as_bytes()).expect("memory"));
                    if *flushes {
                        coded.extend(coder.flush().expect("memory"));
                    }
                }
                coded.extend(coder.finish().expect("memory"));
                prop_assert_eq!(decode(coding, &coded), content);
            }
        }
    }
}
