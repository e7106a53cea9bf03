// Launched by src/ops/focal_loss/cuda.rs.
//
// Focal loss of two classes (Lin et al., ICCV 2017; DRAEM's loss.py) with its gradient in one pass. Of each pixel, with q the probability of the wrong
// class: miss = (1 - 2 smooth) q, loss = -miss² ln(1 - miss); to the right logit flows (2 miss ln(1 - miss) - miss² / (1 - miss)) (1 - 2 smooth) q (1 - q),
// its negative to the wrong one.
//
// Shapes: logits [pixels, 2] in elements; mask [pixels] (set from 0.5 on), gradient [pixels, 2], partial [runs] in f32. Grid: x = runs of pixels, 256
// threads. `squared_error_total` adds the runs; `scaled_gradient` turns the gradient into elements (kernels/loss.cu).
// Floor: one read of logits and mask, one write of the gradient over the memory's bandwidth.
#include "common/reduce.cuh"
#include "common/scalar.cuh"

constexpr int THREADS = 256;

extern "C" __global__ void __launch_bounds__(256) focal_loss(const element* logits, const float* mask, float* partial, float* gradient, int pixels, int pixels_per_run, float smooth) {
    int end = min((int)(blockIdx.x + 1) * pixels_per_run, pixels);
    float sum = 0.0f, share = 1.0f / pixels, certain = 1.0f - 2.0f * smooth;
    for (int pixel = blockIdx.x * pixels_per_run + threadIdx.x; pixel < end; pixel += THREADS) {
        bool set = mask[pixel] >= 0.5f;
        float lead = load(logits[2 * pixel + 1]) - load(logits[2 * pixel]);
        lead = set ? lead : -lead;
        float small = expf(-fabsf(lead)), more = 1.0f / (1.0f + small), less = small / (1.0f + small);
        float right = lead >= 0.0f ? more : less, wrong = lead >= 0.0f ? less : more;
        float miss = certain * wrong, logarithm = log1pf(-miss);
        sum -= miss * miss * logarithm;
        if (gradient) {
            float slope = share * (2.0f * miss * logarithm - miss * miss / (1.0f - miss)) * certain * right * wrong;
            gradient[2 * pixel] = set ? -slope : slope;
            gradient[2 * pixel + 1] = set ? slope : -slope;
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
