// wgmma: products of 64 rows from factors that lie in shared memory as their descriptors say. Written from the PTX ISA's figures and from nothing in
// kernels/common. Each of the four warps carries out its own 16 rows.
#include <cstring>

#include "emulator/hopper.h"

#include "block.h"
#include "factor.h"

namespace emulator {

namespace {

constexpr unsigned WHOLE_WARP = 0xffffffffu, ROWS = 16, DEPTH = 16, MOST_COLUMNS = 256;
// Where shared memory begins in its window on Hopper: the system keeps the first kibibyte.
constexpr unsigned WINDOW = 1024;

struct Started {
    Multiplication multiplication;
    unsigned columns;
};

EMULATOR_ONE_FOR_ALL void require_alike(void* const* arguments) {
    const Started& first = *static_cast<Started*>(arguments[0]);
    for (unsigned thread = 1; thread < 128; ++thread) {
        const Started& own = *static_cast<Started*>(arguments[thread]);
        if (own.multiplication.a != first.multiplication.a || own.multiplication.b != first.multiplication.b || own.columns != first.columns ||
            own.multiplication.add != first.multiplication.add || own.multiplication.across != first.multiplication.across) {
            fail("wgmma: the threads of the warpgroup give different factors");
        }
    }
}

// A factor in shared memory: PTX ISA, "Matrix descriptor format" and "Strides", with the 128-byte swizzle; K-major, or, if `across`, MN-major: then a line
// of 128 bytes holds 64 rows at one depth, `leading` bytes before the next 64.
struct Layout {
    unsigned start, leading, eight_lines;
    bool across;

    EMULATOR_ONE_FOR_ALL Layout(unsigned long long descriptor, bool across)
        : start(static_cast<unsigned>(descriptor & 0x3fff) << 4), leading(static_cast<unsigned>(descriptor >> 16 & 0x3fff) << 4),
          eight_lines(static_cast<unsigned>(descriptor >> 32 & 0x3fff) << 4), across(across) {
        if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) {
            fail("wgmma: descriptor 0x%016llx; only the 128-byte swizzle from a multiple of 1024 bytes is emulated", descriptor);
        }
    }

    EMULATOR_ONE_FOR_ALL unsigned short element(unsigned row, unsigned depth) const {
        unsigned at = across ? start + row / 64 * leading + row % 64 * 2 + depth / 8 * eight_lines + depth % 8 * 128
                             : start + row / 8 * eight_lines + row % 8 * 128 + depth * 2;
        at ^= at / 128 % 8 << 4;
        if (at < WINDOW || at + 2 > WINDOW + block->dynamic_bytes) {
            fail("wgmma: a factor lies outside the dynamic shared memory of this block");
        }
        unsigned short value;
        std::memcpy(&value, block->dynamic + at - WINDOW, sizeof value);
        return value;
    }
};

EMULATOR_ONE_FOR_ALL void carry_out(float (*sums)[MOST_COLUMNS], unsigned columns, const Multiplication& product, unsigned first_row) {
    Layout a(product.a, false), b(product.b, product.across);
    float left[ROWS][DEPTH], right[DEPTH][MOST_COLUMNS];
    for (unsigned k = 0; k < DEPTH; ++k) {
        for (unsigned row = 0; row < ROWS; ++row) {
            left[row][k] = widen(a.element(first_row + row, k), product.factor);
        }
        for (unsigned column = 0; column < columns; ++column) {
            right[k][column] = widen(b.element(column, k), product.factor);
        }
    }
    for (unsigned row = 0; row < ROWS; ++row) {
        if (!product.add) {
            std::memset(sums[row], 0, columns * sizeof(float));
        }
        for (unsigned k = 0; k < DEPTH; ++k) {
            for (unsigned column = 0; column < columns; column += 8) {
                for (unsigned i = 0; i < 8; ++i) {
                    sums[row][column + i] += left[row][k] * right[k][column + i];
                }
            }
        }
    }
}

// Fragment D: how the sums of 16 rows are spread over the lanes.
template <class Visit>
EMULATOR_ONE_FOR_ALL void visit_fragment(unsigned lane, unsigned columns, Visit visit) {
    for (unsigned at = 0; at < columns / 2; ++at) {
        unsigned row = lane / 4 + at / 2 % 2 * 8, column = at / 4 * 8 + lane % 4 * 2 + at % 2;
        visit(at, row, column);
    }
}

// What a lane brings to a wait: its sums and the products to carry out, which are those of its neighbours.
struct Wait {
    float* kept;
    unsigned columns;
    const Multiplication* list;
    size_t products;
    unsigned warp;
};

EMULATOR_ONE_FOR_ALL void carry_out_of_warp(void* const* arguments, unsigned lanes) {
    if (lanes != WHOLE_WARP) {
        fail("wgmma: lanes 0x%08x only, the whole warp must take part", lanes);
    }
    const Wait& first = *static_cast<Wait*>(arguments[0]);
    if (first.products == 0) {
        return;
    }
    static float sums[ROWS][MOST_COLUMNS];
    for (unsigned lane = 0; lane < 32; ++lane) {
        const Wait& own = *static_cast<Wait*>(arguments[lane]);
        if (own.products != first.products || own.columns != first.columns) {
            fail("wgmma: the lanes of a warp wait for different products");
        }
        const float* kept = own.kept;
        visit_fragment(lane, own.columns, [&](unsigned at, unsigned row, unsigned column) EMULATOR_ONE_FOR_ALL { sums[row][column] = kept[at]; });
    }
    for (size_t at = 0; at < first.products; ++at) {
        carry_out(sums, first.columns, first.list[at], first.warp % 4 * ROWS);
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
        float* kept = static_cast<Wait*>(arguments[lane])->kept;
        visit_fragment(lane, first.columns, [&](unsigned at, unsigned row, unsigned column) EMULATOR_ONE_FOR_ALL { kept[at] = sums[row][column]; });
    }
}

// Carries out all closed groups but the `pending` latest; the sums come back when nothing is left.
EMULATOR_ONE_FOR_ALL void finish(unsigned pending) {
    Fiber& fiber = running();
    Multiplications& own = fiber.multiplications;
    size_t groups = own.group_ends.size() > pending ? own.group_ends.size() - pending : 0;
    Wait wait = {own.kept.data(), static_cast<unsigned>(own.kept.size()) * 2, own.list.data(), groups == 0 ? 0 : own.group_ends[groups - 1], fiber.warp};
    act_as_warp(WHOLE_WARP, "wgmma.wait_group", &wait, carry_out_of_warp);
    own.list.erase(own.list.begin(), own.list.begin() + static_cast<std::ptrdiff_t>(wait.products));
    own.group_ends.erase(own.group_ends.begin(), own.group_ends.begin() + static_cast<std::ptrdiff_t>(groups));
    for (size_t& end : own.group_ends) {
        end -= wait.products;
    }
    if (own.list.empty() && !own.kept.empty()) {
        std::memcpy(own.sums, own.kept.data(), own.kept.size() * sizeof(float));
        own.kept.clear();
    }
}

}  // namespace

unsigned shared_address(const void* pointer) {
    size_t at = static_cast<size_t>(static_cast<const unsigned char*>(pointer) - block->dynamic);
    if (at > block->dynamic_bytes) {
        fail("the address of something that is not dynamic shared memory");
    }
    return static_cast<unsigned>(at) + WINDOW;
}

void products_fence() { running().multiplications.fenced = true; }

void products_commit() {
    Multiplications& own = running().multiplications;
    own.group_ends.push_back(own.list.size());
    if (reverse_order()) {
        finish(0);
    }
}

void products_wait(unsigned pending) {
    finish(pending);
    Multiplications& own = running().multiplications;
    own.fenced = own.fenced && !own.list.empty();
}

EMULATOR_ONE_FOR_ALL void multiply(float* sums, unsigned columns, unsigned long long a, unsigned long long b, bool add, Factor factor, bool across) {
    Started started = {{a, b, add, factor, across}, columns};
    act_as_warpgroup("wgmma.mma_async", &started, require_alike);
    Multiplications& own = running().multiplications;
    if (!own.fenced) {
        fail("wgmma: no wgmma.fence since this thread could use its sums");
    }
    if (own.kept.empty()) {
        own.sums = sums;
        own.kept.assign(sums, sums + columns / 2);
        std::memset(sums, 0xff, columns / 2 * sizeof(float));
    } else if (own.sums != sums || own.kept.size() * 2 != columns) {
        fail("wgmma: products with other sums are on their way; only one set of sums at a time is emulated");
    }
    own.list.push_back(started.multiplication);
}

}  // namespace emulator
