// Launched by src/ops/denoise/cuda.rs.
// supports: sm_75+; f32
//
// One step of blended sampling behind the network, all in one pass over the latents (DDIM, Song et al. 2021; blending, paper Eq. 1):
//     output  = conditional, or (1 - guidance) unconditional + guidance conditional
//     clean   = clean_noisy noisy + clean_output output
//     epsilon = output, or epsilon_noisy noisy + epsilon_output output
//     latent  = previous_clean clean + previous_epsilon epsilon + deviation fresh noise
//     blended = latent inside the mask, signal normal + noise fresh noise outside of it
// The noise is drawn here (common/philox.cuh). Products and sums are not fused, so that the CPU gives the same bits.
//
// Shapes: noisy, conditional, unconditional, normal, clean, latent, blended [batch, size]; mask [batch, size / channels]; names [batch, 4]. Grid:
// x = size / 1024, y = batch; 256 threads, each one block of Philox: four numbers. Reads each input once, writes each output that is there once.
// Floor: those bytes over the memory's bandwidth.
#include "common/philox.cuh"

__device__ __forceinline__ float combine(float a, float x, float b, float y) { return __fadd_rn(__fmul_rn(a, x), __fmul_rn(b, y)); }

// Numbers 4 · block .. 4 · block + 3 of this sample's stream; zeros without one.
struct Four {
    float at[4];
    __device__ __forceinline__ Four(const int* names, size_t block) {
        float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (names) {
            const int* name = names + 4 * blockIdx.y;
            four = normal_block(make_uint2(name[0], name[1]), make_uint2(name[2], name[3]), block);
        }
        at[0] = four.x, at[1] = four.y, at[2] = four.z, at[3] = four.w;
    }
};

// What stands outside of the mask. Without names it is the normal image as it is.
struct Background {
    const float *mask, *normal;
    const int* names;
    float signal, noise;
    int channels;
    __device__ __forceinline__ float blend(float inside, size_t index, size_t offset, float fresh) const {
        if (mask[(offset + index) / channels] > 0.5f) return inside;
        return names ? combine(signal, normal[offset + index], noise, fresh) : normal[offset + index];
    }
};

extern "C" __global__ void __launch_bounds__(256) denoise_step(
    const float* noisy, const float* conditional, const float* unconditional, const int* names, const float* mask, const float* normal, const int* background_names,
    float* clean, float* latent, float* blended, size_t size, int channels, float guidance, float clean_noisy, float clean_output, float epsilon_noisy,
    float epsilon_output, float previous_clean, float previous_epsilon, float deviation, float signal, float noise) {
    size_t block = (size_t)blockIdx.x * blockDim.x + threadIdx.x, offset = blockIdx.y * size;
    if (4 * block >= size) return;
    Background background = {mask, normal, background_names, signal, noise, channels};
    Four fresh(names, block), fresh_background(background_names, block);
    for (int i = 0; i < 4 && 4 * block + i < size; i++) {
        size_t index = 4 * block + i;
        float from = noisy[offset + index], output = conditional[offset + index];
        if (unconditional) output = combine(1.0f - guidance, unconditional[offset + index], guidance, output);
        float found = combine(clean_noisy, from, clean_output, output);
        float epsilon = epsilon_noisy == 0.0f ? output : combine(epsilon_output, output, epsilon_noisy, from);
        float next = combine(previous_clean, found, previous_epsilon, epsilon);
        if (names) next = __fadd_rn(next, __fmul_rn(deviation, fresh.at[i]));
        clean[offset + index] = found;
        latent[offset + index] = next;
        if (blended) blended[offset + index] = background.blend(next, index, offset, fresh_background.at[i]);
    }
}

// blended of a latent that is there already.
extern "C" __global__ void __launch_bounds__(256) denoise_blend(const float* latent, const float* mask, const float* normal, const int* background_names, float* blended, size_t size, int channels, float signal, float noise) {
    size_t block = (size_t)blockIdx.x * blockDim.x + threadIdx.x, offset = blockIdx.y * size;
    if (4 * block >= size) return;
    Background background = {mask, normal, background_names, signal, noise, channels};
    Four fresh(background_names, block);
    for (int i = 0; i < 4 && 4 * block + i < size; i++) {
        size_t index = 4 * block + i;
        blended[offset + index] = background.blend(latent[offset + index], index, offset, fresh.at[i]);
    }
}
