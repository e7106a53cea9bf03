"""Whole images as `anodiff generate` makes them, in PyTorch/diffusers: what compare_pytorch.py measures as `generation` and `generation-exact`.

Blended diffusion (METHOD: the latent outside of the mask is the noisy normal image's at every step) with DDIM and adaptive attention re-weighting:
`default` takes the weights from the estimate of the step before and guides by the empty prompt in one doubled batch; `exact` reads the paper's Eq. 7 as it
stands: an un-weighted pass and the decoder at every step, no guidance.
"""

import torch
import torch.nn.functional as F

LATENT_SCALE = 0.18215
GUIDANCE = 1.5
LEARNED = slice(1, 9)


class Attention:
    """diffusers' attention by scaled_dot_product_attention; where a weight map is given, the context's columns are weighted behind the softmax."""

    def __call__(self, attention, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, weights=None, columns=None):
        residual, shape = hidden_states, hidden_states.shape
        if len(shape) == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attention.group_norm is not None:
            hidden_states = attention.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        heads = lambda x: x.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        query, key, value = heads(attention.to_q(hidden_states)), heads(attention.to_k(context)), heads(attention.to_v(context))
        if weights is None or encoder_hidden_states is None:
            output = F.scaled_dot_product_attention(query, key, value)
        else:
            side = round(query.shape[2] ** 0.5)
            map = F.adaptive_avg_pool2d(weights, side).flatten(2)  # [batch, 1, queries]
            factor = 1 + (map.transpose(1, 2) - 1) * columns  # [batch, queries, columns]
            probabilities = (query @ key.transpose(2, 3) * query.shape[3] ** -0.5).softmax(-1)
            output = (probabilities * factor[:, None].to(query.dtype)) @ value
        output = attention.to_out[0](output.transpose(1, 2).flatten(2))
        if len(shape) == 4:
            output = output.transpose(1, 2).reshape(shape)
        return (output + residual if attention.residual_connection else output) / attention.rescale_output_factor


def generation(unet, vae, options, dtype, exact):
    """A function that makes a batch of images, on noise in place of photographs, up to bytes in host memory."""
    batch, cells, device = options.batch, options.size // 8, options.device
    width = unet.config.cross_attention_dim
    unet.set_attn_processor(Attention())
    compiled = lambda f: torch.compile(f, mode="max-autotune") if options.compile else f
    forward, encode, decode = compiled(unet), compiled(lambda x: vae.encode(x).latent_dist.mean), compiled(lambda z: vae.decode(z).sample)
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    stride = 1000 // options.steps
    times = [stride * step + 1 for step in reversed(range(options.steps))]
    pictures = torch.rand(batch, 3, options.size, options.size, device=device, dtype=dtype) * 2 - 1
    masks = torch.zeros(batch, 1, options.size, options.size, device=device)
    masks[:, :, options.size // 3 : options.size // 2, options.size // 3 : options.size // 2] = 1
    small = F.adaptive_max_pool2d(masks, cells)
    contexts = torch.randn(2, batch, 77, width, device=device, dtype=dtype)
    columns = torch.ones(77, device=device) if exact else torch.zeros(77, device=device)
    columns[LEARNED] = 1

    def predict(latent, time, weights):
        weighting = {"cross_attention_kwargs": {"weights": weights, "columns": columns}}
        if exact:
            return forward(latent.to(dtype), torch.tensor(time, device=device), contexts[0], **weighting).sample.float()
        if weights is not None:
            weighting["cross_attention_kwargs"]["weights"] = torch.cat([weights, torch.ones_like(weights)])
        both = forward(torch.cat([latent, latent]).to(dtype), torch.tensor(time, device=device), contexts.flatten(0, 1), **weighting).sample.float()
        with_prompt, without = both.chunk(2)
        return without + GUIDANCE * (with_prompt - without)

    def paper_weights(clean):
        difference = (masks * (pictures.float() - decode((clean / LATENT_SCALE).to(dtype)).float())).square().sum(1, keepdim=True)
        logits = torch.where(difference > 0, 1 / difference, -torch.inf)
        share = logits.flatten(1).softmax(1).view_as(logits).nan_to_num()
        return F.adaptive_avg_pool2d(masks.sum((1, 2, 3), keepdim=True) * share, cells)

    def balanced_weights(clean, normal):
        inverse = small / ((clean - normal).square().mean(1, keepdim=True) + 1e-4)
        return torch.where(small > 0, (inverse * small.sum((1, 2, 3), keepdim=True) / inverse.sum((1, 2, 3), keepdim=True)).clamp(0.5, 2), 1)

    def run():
        normal = encode(pictures).float() * LATENT_SCALE
        latent, clean = torch.randn(batch, 4, cells, cells, device=device), None
        for index, time in enumerate(times):
            alpha = alphas[time].item()
            before = alphas[times[index + 1]].item() if index + 1 < len(times) else alphas[0].item()
            blended = small * latent + (1 - small) * (alpha**0.5 * normal + (1 - alpha) ** 0.5 * torch.randn_like(normal))
            estimate = lambda noise: (blended - (1 - alpha) ** 0.5 * noise) / alpha**0.5
            if exact:
                weights = paper_weights(estimate(predict(blended, time, None)))
            else:
                weights = None if clean is None else balanced_weights(clean, normal)
            noise = predict(blended, time, weights)
            clean = estimate(noise)
            latent = before**0.5 * clean + (1 - before) ** 0.5 * noise
        latent = small * latent + (1 - small) * normal
        images = decode((latent / LATENT_SCALE).to(dtype)).float()
        return ((masks * images + (1 - masks) * pictures).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).cpu()

    return run
