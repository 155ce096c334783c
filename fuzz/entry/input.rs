//! The bytes of a fuzzer, read as what is needed.

/// Reads from the front. At the end of the bytes everything is 0.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn long(&mut self) -> u32 {
        u32::from(self.word()) << 16 | u32::from(self.word())
    }

    /// One of `from`, which is not empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// The next `len` bytes, or what is left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A sequence number at or near one that matters.
    pub fn near(&mut self, what: u32, window: u32) -> u32 {
        let small = |n: u8| u32::from(n & 15).wrapping_sub(8);
        match self.byte() {
            0..=127 => what,
            128..=159 => what.wrapping_add(small(self.byte())),
            160..=191 => what.wrapping_add(window).wrapping_add(small(self.byte())),
            192..=207 => what.wrapping_add(u32::from(self.word())),
            208..=223 => what.wrapping_sub(u32::from(self.word())),
            224..=231 => what.wrapping_add(1 << 31).wrapping_add(small(self.byte())),
            232..=239 => what.wrapping_sub(window).wrapping_add(small(self.byte())),
            _ => self.long(),
        }
    }
}
