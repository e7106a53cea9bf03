//! A recording as a file for Perfetto (ui.perfetto.dev) or chrome://tracing: the parts of the network as ranges inside each other, with the kernels or ops
//! in them ("Trace Event Format", complete events).

use serde_json::{Value, json};

use super::operations::{bytes, operations};
use crate::device::recording::Piece;

/// A part of the network that is open.
struct Range<'a> {
    part: &'a str,
    start: f64,
    /// Its place in the list of events, where it stands before all that is in it.
    event: usize,
}

/// The events of one pass, which the viewer shows as the process `number`, called `name`.
pub fn events(pieces: &[Piece], number: usize, name: &str) -> Vec<Value> {
    let mut events = vec![json!({"ph": "M", "name": "process_name", "pid": number, "tid": 0, "args": {"name": name}})];
    let mut open: Vec<Range> = Vec::new();
    let mut end = 0.0;
    for piece in pieces {
        let path: Vec<&str> = piece.layer.split('.').filter(|part| !part.is_empty()).collect();
        let kept = open.iter().zip(&path).take_while(|(range, part)| range.part == **part).count();
        close(&mut events, &mut open, kept, end);
        for part in &path[kept..] {
            open.push(Range { part, start: piece.start, event: events.len() });
            events.push(json!({"ph": "X", "name": part, "cat": "layer", "pid": number, "tid": 0, "ts": microseconds(piece.start)}));
        }
        let [read, written] = bytes(piece);
        events.push(json!({
            "ph": "X", "name": piece.name, "cat": "kernel", "pid": number, "tid": 0,
            "ts": microseconds(piece.start), "dur": microseconds(piece.milliseconds),
            "args": {"layer": piece.layer, "pass": piece.pass, "gflop": operations(piece) / 1e9, "bytes read": read, "bytes written": written},
        }));
        end = piece.start + piece.milliseconds;
    }
    close(&mut events, &mut open, 0, end);
    events
}

/// Closes all ranges but the first `kept`.
fn close(events: &mut [Value], open: &mut Vec<Range>, kept: usize, end: f64) {
    for Range { start, event, .. } in open.drain(kept..) {
        events[event]["dur"] = microseconds(end - start).into();
    }
}

fn microseconds(milliseconds: f64) -> f64 {
    milliseconds * 1e3
}
