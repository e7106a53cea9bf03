//! The arguments of a launch as the driver reads them.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::sys;

use super::sources::Parameter;

/// An argument, and what is shown of it.
pub(super) struct Argument {
    pub content: Content,
    pub shown: Shown,
}

pub(super) enum Content {
    /// At most eight bytes, little endian.
    Word(u64),
    Map(Box<sys::CUtensorMap>),
}

pub(super) enum Shown {
    /// Its shape and its bytes.
    Tensor(Arc<[usize]>, u64),
    Null,
    Whole(i64),
    Real(f32),
    Words,
}

impl Content {
    /// Where the driver finds it.
    pub fn place(&self) -> *mut c_void {
        match self {
            Self::Word(bits) => (&raw const *bits).cast_mut().cast(),
            Self::Map(map) => (&raw const **map).cast_mut().cast(),
        }
    }
}

/// The arguments as the fields of one struct, each where C++ puts it, in words of eight bytes.
pub(super) fn packed(fields: &[Parameter], arguments: &[Argument]) -> Vec<u64> {
    let (mut words, mut end, mut widest) = (Vec::new(), 0_usize, size_of::<u64>());
    for (field, argument) in fields.iter().zip(arguments) {
        let (size, alignment) = field.kind.size_and_alignment();
        let at = end.next_multiple_of(alignment);
        (end, widest) = (at + size, widest.max(alignment));
        words.resize(end.div_ceil(size_of::<u64>()), 0);
        let word = at / size_of::<u64>();
        match &argument.content {
            Content::Word(bits) => words[word] |= bits << (8 * (at % size_of::<u64>())),
            Content::Map(map) => words[word..].copy_from_slice(&map.opaque),
        }
    }
    words.resize(end.next_multiple_of(widest) / size_of::<u64>(), 0);
    words
}

#[cfg(test)]
mod tests {
    use super::super::sources::{Kind, Pointee};
    use super::*;

    #[test]
    fn fields_lie_where_their_alignment_puts_them() {
        let field = |kind| Parameter { name: "field", kind };
        let word = |bits| Argument { content: Content::Word(bits), shown: Shown::Words };
        let pointer = Kind::Pointer { to: Pointee::Bytes, writes: false };
        let fields = [Kind::I32, pointer, Kind::F32, Kind::I32, Kind::U32].map(field);
        let arguments = [1, 0x7777_0000_1111, 2, 3, 4].map(word);
        assert_eq!(packed(&fields, &arguments), [1, 0x7777_0000_1111, 2 | 3 << 32, 4]);
        // A tensor's description begins at a multiple of 64 bytes, and so does what follows the struct.
        let map = || Argument { content: Content::Map(Box::new(sys::CUtensorMap { opaque: [9; 16] })), shown: Shown::Words };
        let found = packed(&[Kind::I32, Kind::TensorMap, Kind::I32].map(field), &[word(1), map(), word(2)]);
        let expected = [[1].as_slice(), &[0; 7], &[9; 16], &[2], &[0; 7]].concat();
        assert_eq!(found, expected);
    }
}
