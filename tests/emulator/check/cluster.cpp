// kernels/common/cluster.cuh: boxes land in both blocks of a cluster, arrivals reach the other block; and each mistake shows.
#include "boxes.h"

namespace {

// 7 rounds of two clusters. `grid`: blocks.
void share_boxes(int mistake, unsigned grid = 4) {
    constexpr int ROUNDS = 7, OF_ROUND = 2 * 8 * 64;
    Description of = {{64, 1, static_cast<uint64_t>(grid / 2 * ROUNDS * 16)}, {64, 1, 8}};
    std::vector<uint16_t> values = numbered(of.sizes);
    Array<uint16_t> tensor(values), output(static_cast<size_t>(grid) * ROUNDS * OF_ROUND);
    unsigned bytes = 2 * 2 * 1024 + 4 * 8;
    TensorMap map = describe(tensor.pointer(), of);
    launch(function("cluster.cu", "shared_boxes", 1, mistake, bytes), {grid, 64, bytes}, map, output.pointer(), ROUNDS);
    std::vector<uint16_t> found = output.values();
    for (size_t at = 0; at < found.size(); ++at) {
        size_t block = at / (ROUNDS * OF_ROUND), expected = block / 2 * ROUNDS * OF_ROUND + at % (ROUNDS * OF_ROUND);
        require(found[at] == values[expected], "block %zu, element %zu of its boxes: expected %d, found %d", block, at % (ROUNDS * OF_ROUND),
                values[expected], found[at]);
    }
}

void shared_boxes(int) { share_boxes(0); }
void early_overwrite_of_a_block(int mistake) { share_boxes(mistake ? 1 : 0); }
void early_start_of_a_cluster(int mistake) { share_boxes(mistake ? 2 : 0); }
void early_end_of_a_block(int mistake) { share_boxes(mistake ? 3 : 0); }
void missing_arrival_at_a_block(int mistake) { share_boxes(mistake ? 4 : 0); }
void missing_block(int mistake) { share_boxes(mistake ? 5 : 0); }
void bytes_of_one_block(int mistake) { share_boxes(mistake ? 6 : 0); }
void static_memory_of_a_cluster(int mistake) { share_boxes(mistake ? 7 : 0); }

// The mistake: a grid of one and a half clusters.
void half_a_cluster(int mistake) { share_boxes(0, mistake ? 3 : 4); }

}  // namespace

std::vector<Case> cluster_cases() { return {{"shared_boxes", shared_boxes}}; }

std::vector<Case> cluster_mistakes() {
    return {{"early_overwrite_of_a_block", early_overwrite_of_a_block},
            {"early_start_of_a_cluster", early_start_of_a_cluster},
            {"early_end_of_a_block", early_end_of_a_block},
            {"missing_arrival_at_a_block", missing_arrival_at_a_block},
            {"missing_block", missing_block},
            {"bytes_of_one_block", bytes_of_one_block},
            {"static_memory_of_a_cluster", static_memory_of_a_cluster},
            {"half_a_cluster", half_a_cluster}};
}
