"""The networks of published Stable Diffusion models in diffusers, with random weights: what the programs here measure, time and compare."""

# Heads of the UNet's attention (or their widths), channels of its context, whether its projections are linear layers.
UNETS = {"sd15": (8, 768, False), "sd21": ((5, 10, 20, 20), 1024, True)}


def unet(model="sd15"):
    from diffusers import UNet2DConditionModel

    heads, width, linear = UNETS[model]
    return UNet2DConditionModel(sample_size=64, block_out_channels=(320, 640, 1280, 1280), attention_head_dim=heads, cross_attention_dim=width,
                                use_linear_projection=linear)


def vae():
    from diffusers import AutoencoderKL

    levels = 4
    return AutoencoderKL(sample_size=512, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                         down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)


def filled(build, device="cpu"):
    """The network that `build` makes, with weights that cost no time: PyTorch's own initial values take longer than a measurement."""
    import torch

    with torch.device("meta"):
        model = build()
    model = model.to_empty(device=device).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.uniform_(-0.02, 0.02) if parameter.dim() > 1 else parameter.fill_(0.5)
    return model
