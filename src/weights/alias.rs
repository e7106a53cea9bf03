//! Other names and shapes under which files have the same tensor.

/// Parts of names as the models here have them (diffusers and transformers today), and what older files have instead.
const RENAMED: [(&str, &str); 4] = [
    // The VAE's attention before diffusers 0.17.
    (".to_q.", ".query."),
    (".to_k.", ".key."),
    (".to_v.", ".value."),
    (".to_out.0.", ".proj_attn."),
];

/// A text encoder is saved with this prefix by transformers up to 4, and without by exports of the inner module.
const TEXT_PREFIX: &str = "text_model.";

/// Other names for the tensor `name`, the likeliest first.
pub(super) fn aliases(name: &str) -> Vec<String> {
    let renamed = RENAMED.iter().filter(|(ours, _)| name.contains(ours)).map(|(ours, theirs)| name.replace(ours, theirs));
    let prefix = match name.strip_prefix(TEXT_PREFIX) {
        Some(rest) => rest.to_owned(),
        None => format!("{TEXT_PREFIX}{name}"),
    };
    renamed.chain([prefix]).collect()
}

/// Whether a tensor of a file may stay unused: buffers that older versions saved and that carry nothing.
pub(super) fn is_ignorable(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    matches!(leaf, "position_ids" | "num_batches_tracked")
}

/// Whether the elements of `found` are those of `expected` in the same order: equal but for trailing axes of size 1, as a linear layer saved as a
/// 1x1 convolution has them.
pub(super) fn same_elements(expected: &[usize], found: &[usize]) -> bool {
    fn core(shape: &[usize]) -> &[usize] {
        let length = shape.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
        &shape[..length]
    }
    expected == found || (expected.len() >= 2 && found.len() >= 2 && core(expected) == core(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_attention_names() {
        let name = "encoder.mid_block.attentions.0.to_out.0.weight";
        assert_eq!(aliases(name)[0], "encoder.mid_block.attentions.0.proj_attn.weight");
        assert!(aliases("text_model.final_layer_norm.bias").contains(&"final_layer_norm.bias".to_owned()));
    }

    #[test]
    fn one_by_one_convolutions_are_linear_layers() {
        assert!(same_elements(&[8, 4], &[8, 4, 1, 1]));
        assert!(same_elements(&[8, 4, 1, 1], &[8, 4]));
        assert!(same_elements(&[8, 1], &[8, 1, 1, 1]));
        assert!(!same_elements(&[8, 4], &[4, 8, 1, 1]));
        assert!(!same_elements(&[8, 4], &[8, 4, 3, 3]));
        assert!(!same_elements(&[8], &[8, 1]));
    }
}
