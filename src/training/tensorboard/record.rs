//! Records of an event file: each with its length and checksums, so that a torn one is recognised.

use std::io::{self, Read};

/// Length, its CRC, the event, its CRC.
pub(super) fn frame(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(event);
    record.extend(masked_crc(event).to_le_bytes());
    record
}

/// CRC-32C (Castagnoli), rotated and offset so that a CRC of data with CRCs in it stays sound.
fn masked_crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0x82F6_3B78 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let crc = !bytes.iter().fold(!0_u32, |crc, &byte| TABLE[((crc ^ u32::from(byte)) & 0xFF) as usize] ^ (crc >> 8));
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// The next whole and sound record; `None` at the end and at a torn one.
pub(super) fn next(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 12];
    if read_up_to(reader, &mut head)? < head.len() || head[8..] != masked_crc(&head[..8]).to_le_bytes() {
        return Ok(None);
    }
    let length = head[..8].iter().rev().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
    let mut body = Vec::new();
    reader.take(length.saturating_add(4)).read_to_end(&mut body)?;
    if body.len() as u64 != length.saturating_add(4) {
        return Ok(None);
    }
    let crc = body.split_off(length as usize);
    Ok((crc == masked_crc(&body).to_le_bytes()).then_some(body))
}

fn read_up_to(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < bytes.len() {
        match reader.read(&mut bytes[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4: CRC-32C of "123456789" and of 32 zeros, unmasked.
    #[test]
    fn known_checksums() {
        let unmask = |masked: u32| masked.wrapping_sub(0xA282_EAD8).rotate_left(15);
        assert_eq!(unmask(masked_crc(b"123456789")), 0xE306_9283);
        assert_eq!(unmask(masked_crc(&[0; 32])), 0x8A91_36AA);
    }

    #[test]
    fn records_come_back_and_torn_or_changed_ones_do_not() {
        let file = [frame(b"first"), frame(b""), frame(b"last")].concat();
        let read = |bytes: &[u8]| {
            let mut reader = bytes;
            let mut records = Vec::new();
            while let Some(record) = next(&mut reader).unwrap() {
                records.push(record);
            }
            records
        };
        assert_eq!(read(&file), [&b"first"[..], b"", b"last"]);
        for cut in 0..file.len() {
            assert!(read(&file[..cut]).len() < 3, "cut at {cut}");
            let mut changed = file.clone();
            changed[cut] ^= 0x10;
            assert!(read(&changed).len() < 3, "changed at {cut}");
        }
    }
}
