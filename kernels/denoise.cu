// Launched by src/ops/denoise/cuda.rs.
// supports: sm_75+; f32
//
// One step of blended sampling behind the network, all in one pass over the latents (DDIM, Song et al. 2021; blending, paper Eq. 1):
//     output  = conditional, or (1 - guidance) unconditional + guidance conditional
//     clean   = clean_noisy noisy + clean_output output
//     epsilon = output, or epsilon_noisy noisy + epsilon_output output
//     latent  = previous_clean clean + previous_epsilon epsilon + deviation fresh noise
//     blended = latent inside the mask, signal normal + noise fresh noise outside of it
// The noise is drawn here (common/philox.cuh). Products and sums are not fused, so that the CPU gives the same bits. What the steps differ in lies in tables
// of all steps, and the step's number in memory, too: a captured step is replayed as it is.
//
// Shapes: noisy, conditional, unconditional, normal, clean, latent, blended [batch, size]; mask [batch, size / channels]; updates [steps, 10] (`Update`);
// inside, outside [steps, batch, 4], the names of the noise; number [1]; names [batch, 4]. Grid: x = size / 1024, y = batch; 256 threads, each one block of
// Philox: four numbers. Reads each input once, writes each output that is there once. Floor: those bytes over the memory's bandwidth.
#include "common/philox.cuh"

__device__ __forceinline__ float combine(float a, float x, float b, float y) { return __fadd_rn(__fmul_rn(a, x), __fmul_rn(b, y)); }

// A row of the table of updates (src/ops/denoise/updates.rs).
struct Update {
    float guidance, clean_noisy, clean_output, epsilon_noisy, epsilon_output, previous_clean, previous_epsilon, deviation, signal, noise;
};

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
    const float* noisy, const float* conditional, const float* unconditional, const float* updates, const int* inside, const int* outside,
    const int* number, const float* mask, const float* normal, float* clean, float* latent, float* blended, size_t size, int channels) {
    size_t block = (size_t)blockIdx.x * blockDim.x + threadIdx.x, offset = blockIdx.y * size;
    if (4 * block >= size) return;
    int step = number[0];
    Update update = reinterpret_cast<const Update*>(updates)[step];
    size_t names = (size_t)step * gridDim.y * 4;
    const int* background_names = update.noise != 0.0f ? outside + names : nullptr;
    Background background = {mask, normal, background_names, update.signal, update.noise, channels};
    Four fresh(update.deviation != 0.0f ? inside + names : nullptr, block), fresh_background(blended ? background_names : nullptr, block);
    for (int i = 0; i < 4 && 4 * block + i < size; i++) {
        size_t index = 4 * block + i;
        float from = noisy[offset + index], output = conditional[offset + index];
        if (unconditional) output = combine(1.0f - update.guidance, unconditional[offset + index], update.guidance, output);
        float found = combine(update.clean_noisy, from, update.clean_output, output);
        float epsilon = update.epsilon_noisy == 0.0f ? output : combine(update.epsilon_output, output, update.epsilon_noisy, from);
        float next = combine(update.previous_clean, found, update.previous_epsilon, epsilon);
        if (update.deviation != 0.0f) next = __fadd_rn(next, __fmul_rn(update.deviation, fresh.at[i]));
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
