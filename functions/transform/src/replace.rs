//! Substitutions in text that comes in pieces. What stands across the end of a piece is found as if
//! there were no pieces; no more is held back than what may still become a match, which is less
//! than the longest text to look for.

/// Substitutions that there may be.
const RULES_MAX: usize = 32;

/// Bytes of one text, to look for or to put in.
const TEXT_MAX: usize = 1024;

/// What is put in place of what. At each place the first rule that fits wins, and what was put in
/// is not looked at again.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<(String, String)>,
    /// Whether a rule begins with this byte: most of a text is passed over by it.
    begins: [bool; 256],
}

impl Rules {
    /// Reads one `old => new` for each line.
    ///
    /// # Errors
    /// Which line is none.
    pub(crate) fn read(lines: &str) -> Result<Self, String> {
        let mut begins = [false; 256];
        let mut rules = Vec::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let (old, new) = line
                .split_once("=>")
                .ok_or_else(|| format!("{line:?} has no `=>`"))?;
            let (old, new) = (old.trim(), new.trim());
            let Some(first) = old.bytes().next() else {
                return Err(format!("{line:?} has nothing before `=>`"));
            };
            if old.len().max(new.len()) > TEXT_MAX || rules.len() >= RULES_MAX {
                return Err(format!(
                    "{line:?}: expected at most {RULES_MAX} lines, and {TEXT_MAX} bytes on each side"
                ));
            }
            if let Some(begins) = begins.get_mut(usize::from(first)) {
                *begins = true;
            }
            rules.push((old.to_owned(), new.to_owned()));
        }
        Ok(Self { rules, begins })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Each rule, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|(old, new)| (&**old, &**new))
    }

    fn begins_with(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// What is to be done with text that begins as `rest`, which is not empty.
    fn decide(&self, rest: &[u8], is_end: bool) -> Decision<'_> {
        for (old, new) in self.iter() {
            if rest.starts_with(old.as_bytes()) {
                return Decision::Put(old.len(), new);
            }
            // A rule after this one must not win only because the piece ends here.
            if !is_end && old.as_bytes().starts_with(rest) {
                return Decision::Wait;
            }
        }
        Decision::Keep
    }
}

enum Decision<'r> {
    /// So many bytes are replaced by this.
    Put(usize, &'r str),
    /// The first byte stays.
    Keep,
    /// More must be known.
    Wait,
}

/// One text that comes in pieces.
#[derive(Debug)]
pub(crate) struct Replacer<'r> {
    rules: &'r Rules,
    held: Vec<u8>,
}

impl<'r> Replacer<'r> {
    pub(crate) fn new(rules: &'r Rules) -> Self {
        let held = Vec::new();
        Self { rules, held }
    }

    /// What is decided when this piece has come, added to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            self.held = self.run(piece, false, out).to_vec();
        } else {
            let mut text = std::mem::take(&mut self.held);
            text.extend_from_slice(piece);
            self.held = self.run(&text, false, out).to_vec();
        }
    }

    /// The rest: there are no more pieces. Another text may follow.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.held);
        self.run(&text, true, out);
    }

    /// Does what can be decided; gives what cannot.
    fn run<'t>(&self, text: &'t [u8], is_end: bool, out: &mut Vec<u8>) -> &'t [u8] {
        let mut rest = text;
        loop {
            let mut bytes = rest.iter();
            let Some(plain) = bytes.position(|byte| self.rules.begins_with(*byte)) else {
                out.extend_from_slice(rest);
                return &[];
            };
            let (before, from) = rest.split_at(plain);
            out.extend_from_slice(before);
            let taken = match self.rules.decide(from, is_end) {
                Decision::Wait => return from,
                Decision::Keep => {
                    out.extend(from.first());
                    1
                }
                Decision::Put(length, new) => {
                    out.extend_from_slice(new.as_bytes());
                    length
                }
            };
            rest = from.get(taken..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &str) -> Rules {
        Rules::read(lines).expect("they are rules")
    }

    fn replaced(rules: &Rules, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut replacer, mut out) = (Replacer::new(rules), Vec::new());
        for piece in pieces {
            replacer.push(piece, &mut out);
            let longest = rules.iter().map(|(old, _)| old.len()).max();
            assert!(
                replacer.held.len() < longest.unwrap_or(1),
                "it holds back too much"
            );
        }
        replacer.finish(&mut out);
        out
    }

    /// The same by the simplest means: place for place, all of the text at hand.
    fn expected(rules: &Rules, text: &[u8]) -> Vec<u8> {
        let (mut rest, mut out) = (text, Vec::new());
        while let Some(first) = rest.first() {
            let fits = rules
                .iter()
                .find(|(old, _)| rest.starts_with(old.as_bytes()));
            let (length, new) = match fits {
                Some((old, new)) => (old.len(), new.as_bytes()),
                None => (1, std::slice::from_ref(first)),
            };
            out.extend_from_slice(new);
            rest = &rest[length..];
        }
        out
    }

    #[test]
    fn text_is_replaced_wherever_pieces_end() {
        let rules =
            rules("old.example => www.example\naa => b\naab => c\nabc =>\nB\u{e4}r => Wolf");
        let texts = [
            "see http://old.example/ and old.exampl, old.old.example",
            "aaaaab aaab aab abcabc ababc a",
            "B\u{e4}r B\u{e4}B\u{e4}r B",
            "",
            "old.example",
        ];
        for text in texts {
            let whole = expected(&rules, text.as_bytes());
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let (a, rest) = text.as_bytes().split_at(first);
                    let (b, c) = rest.split_at(second - first);
                    let cut = replaced(&rules, &[a, b, c]);
                    assert_eq!(cut, whole, "{text:?} cut at {first} and {second}");
                }
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(replaced(&rules, &bytes), whole, "{text:?} byte by byte");
        }
    }

    #[test]
    fn any_text_in_any_pieces_is_as_the_whole() {
        // Few letters and overlapping rules: matches everywhere. SplitMix64, the same each time.
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % below as u64) as usize
        };
        for _ in 0..2_000 {
            let mut word = |least: usize| {
                let length = least + random(5);
                (0..length)
                    .map(|_| ["a", "b", "c"][random(3)])
                    .collect::<String>()
            };
            let lines: Vec<String> = (0..3)
                .map(|_| format!("{} => {}", word(1), word(0)))
                .collect();
            let text: String = (0..8).map(|_| word(2)).collect();
            let rules = rules(&lines.join("\n"));
            let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + random(rest.len().min(6)));
                pieces.push(piece);
                rest = behind;
            }
            let whole = expected(&rules, text.as_bytes());
            assert_eq!(
                replaced(&rules, &pieces),
                whole,
                "{lines:?} {text:?} {pieces:?}"
            );
        }
    }

    #[test]
    fn no_more_is_held_back_than_may_match() {
        let rules = rules("secret => ...");
        let (mut replacer, mut out) = (Replacer::new(&rules), Vec::new());
        replacer.push(b"data: 1\n\n", &mut out);
        assert_eq!(out, b"data: 1\n\n", "an event is not kept waiting");
        replacer.push(b"a sec", &mut out);
        assert_eq!(out, b"data: 1\n\na ");
        replacer.push(b"ond", &mut out);
        assert_eq!(out, b"data: 1\n\na second");
    }

    #[test]
    fn lines_that_are_no_rules_are_named() {
        let long = "x".repeat(TEXT_MAX + 1);
        let many = "a => b\n".repeat(RULES_MAX + 1);
        for lines in [
            "a",
            " => b",
            &format!("{long} => b"),
            &format!("a => {long}"),
            &many,
        ] {
            assert!(Rules::read(lines).is_err(), "{lines:.20}");
        }
        assert!(Rules::read("\n \n").expect("no rules").is_empty());
    }
}
