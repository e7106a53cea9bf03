use super::*;

const WEIGHTS: [&str; 4] = ["down.0.attn1.to_v.weight", "down.0.attn1.to_out.0.weight", "down.0.attn1.to_out.0.bias", "up.0.weight"];

#[test]
fn what_runs_between_two_layers_belongs_to_what_holds_both() {
    let mut visits = Visits::default();
    let outside = visits.place();
    visits.networks.push("unet");
    let entrance = visits.place();
    visits.enter(WEIGHTS[0]);
    let value = visits.place();
    visits.leave_layer();
    let attention = visits.place();
    assert_eq!(visits.current(), "unet.down.0.attn1", "as far as it is known by then");
    visits.enter(WEIGHTS[1]);
    visits.enter(WEIGHTS[2]);
    let output = visits.place();
    visits.leave_layer();
    let sum = visits.place();
    visits.enter(WEIGHTS[3]);
    visits.leave_network();
    let behind = visits.place();
    let layers = [outside, entrance, value, attention, output, sum, behind].map(|place| visits.layer(place));
    assert_eq!(layers, ["", "unet", "unet.down.0.attn1.to_v", "unet.down.0.attn1", "unet.down.0.attn1.to_out.0", "unet", ""]);
    visits.again = Some(attention);
    assert_eq!(visits.layer(visits.place()), "unet.down.0.attn1", "where the gradients of attention are computed");
}

#[test]
fn ops_are_called_as_their_folder_or_their_function() {
    for (function, name) in [
        ("anodiff::ops::conv2d::conv2d::{{closure}}", "conv2d"),
        ("anodiff::ops::attention::on_cpu::{{closure}}", "attention"),
        ("anodiff::ops::shape::concat::{{closure}}", "concat"),
        ("anodiff::ops::elementwise::binary::binary::{{closure}}", "binary"),
        ("anodiff::ops::resize::linear<anodiff::ops::resize::area_pool::{{closure}}, f32>::{{closure}}", "area_pool"),
        ("anodiff::ops::elementwise::gated::geglu::{{closure}}", "gated::geglu"),
    ] {
        assert_eq!(piece::op_name(function), name);
    }
}
