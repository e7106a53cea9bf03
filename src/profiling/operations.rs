//! How much arithmetic one piece of a recording is: floating-point operations (two for each multiply-add) of its products, as it is computed. Other
//! ops count as none: memory bounds them. What a faster algorithm saves is counted all the same.

use crate::device::recording::{Detail, KernelShape, Piece};

/// Operations of a kernel or op.
pub fn operations(piece: &Piece) -> f64 {
    match &piece.detail {
        Detail::Op { inputs, output, gradients } => of_op(piece.name, inputs, output, gradients.as_deref()),
        Detail::Kernel(kernel) => of_kernel(piece.name, kernel),
        Detail::Other => 0.0,
    }
}

fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&size| size as f64).product()
}

fn of_op(name: &str, inputs: &[Vec<usize>], output: &[usize], gradients: Option<&[bool]>) -> f64 {
    let wanted = |input: usize| gradients.is_none_or(|given| given.get(input) == Some(&true)) as usize as f64;
    match (name, inputs) {
        // One product forward; one for the gradient of x, one for that of the weight. The weight is [out, .., in].
        ("linear" | "conv2d", [_, weight, ..]) => {
            let products = if gradients.is_some() { wanted(0) + wanted(1) } else { 1.0 };
            // The rows of the output, whose columns are not all of the weight's where a gated layer halves them.
            products * 2.0 * product(&output[..output.len().saturating_sub(1)]) * product(weight)
        }
        // q [batch, n, channels], k [batch, m, channels]: logits and the product with v; the gradients take the logits again, and the gradient of the
        // probabilities where q or k want theirs.
        ("attention", [q, k, _, ..]) if q.len() == 3 && k.len() == 3 => {
            let of_probabilities = if wanted(0) + wanted(1) > 0.0 { 1.0 } else { 0.0 };
            let products = if gradients.is_some() { 1.0 + of_probabilities + wanted(0) + wanted(1) + wanted(2) } else { 2.0 };
            products * 2.0 * product(q) * k[1] as f64
        }
        _ => 0.0,
    }
}

/// By the kernel's name and the whole numbers among its arguments.
fn of_kernel(name: &str, kernel: &KernelShape) -> f64 {
    let number = |wanted: &str| kernel.numbers.iter().find(|(name, _)| *name == wanted).map_or(0.0, |(_, value)| *value as f64);
    let is_product = |op: &str| ["_forward_", "_to_x_", "_to_weight_"].iter().any(|pass| name.starts_with(&format!("{op}{pass}")));
    if is_product("linear") {
        return 2.0 * number("rows") * number("inputs") * number("outputs");
    }
    if is_product("conv2d") {
        let window = number("kernel_height") * number("kernel_width") * number("inputs");
        return 2.0 * number("batch") * number("out_height") * number("out_width") * number("outputs") * window;
    }
    // Of either op, on Hopper.
    if name.starts_with("product_") {
        let window = number("taps_y") * number("taps_x") * number("channels");
        return 2.0 * number("images") * number("height") * number("width") * number("outputs") * window;
    }
    // The heads' width is an argument, or the end of the name.
    let width = match number("width") {
        0.0 => name.rsplit('_').next().and_then(|end| end.parse().ok()).unwrap_or(0.0),
        width => width,
    };
    let products = match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_') {
        "attention_forward" | "attention_plain_forward" | "cross_attention" => 2.0,
        "attention_to_q" | "attention_plain_to_q" | "attention_plain_to_k" => 3.0,
        "attention_plain_to_v" => 2.0,
        "attention_to_k_v" => 4.0,
        _ => return 0.0,
    };
    // The grid's last size is the batch.
    products * 2.0 * kernel.grid[2] as f64 * number("heads") * number("rows") * number("columns") * width
}

/// Bytes that a piece must read and write: its tensors, of a table of embeddings only the rows that are taken.
pub fn bytes(piece: &Piece) -> [u64; 2] {
    let is_lookup = ["embedding_forward", "embedding"].contains(&piece.name) && piece.pass != "backward";
    [if is_lookup { piece.written } else { piece.read }, piece.written]
}
