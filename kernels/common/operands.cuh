// Factors of a matrix product, read in place: out [lanes of A, lanes of B] = sum over k of A(lane, k) · B(lane, k). Each type says where the element of a
// lane at depth k lies, as `at(fix(lane), move(k))`; null is a zero (`anywhere` is then a valid
// address to copy nothing from). ALONG: neighbours in memory are neighbours in depth; otherwise they are
// neighbouring lanes. A fixed part stays with a thread over its whole loop, a moving part is worked out anew for each step of depth.
#pragma once
#include "common/scalar.cuh"

// A matrix [lanes, stride] whose rows run along the depth. With `half` lanes 2 i and 2 i + 1 are rows i and half + i: what belongs together in a gated layer is
// then in one thread.
struct DenseAlong {
    static constexpr bool ALONG = true;
    const element* data;
    int lanes, depth;
    long long stride;
    int half;
    typedef const element* Fixed;
    typedef int Moving;
    __device__ __forceinline__ const element* anywhere() const { return data; }
    __device__ __forceinline__ Fixed fix(int lane) const {
        int row = half ? lane / 2 + lane % 2 * half : lane;
        return lane < lanes ? data + row * stride : nullptr;
    }
    __device__ __forceinline__ Moving move(int k) const { return k; }
    __device__ __forceinline__ const element* at(Fixed row, Moving k) const { return row && k < depth ? row + k : nullptr; }
};

// A matrix [depth, stride] whose rows run across the lanes.
struct DenseAcross {
    static constexpr bool ALONG = false;
    const element* data;
    int lanes, depth;
    long long stride;
    typedef int Fixed;
    typedef const element* Moving;
    __device__ __forceinline__ const element* anywhere() const { return data; }
    __device__ __forceinline__ Fixed fix(int lane) const { return lane; }
    __device__ __forceinline__ Moving move(int k) const { return k < depth ? data + k * stride : nullptr; }
    __device__ __forceinline__ const element* at(Fixed lane, Moving row) const { return row && lane < lanes ? row + lane : nullptr; }
};

// How the windows of an image [batch, height, width, channels] lie, which is one tensor, or two whose channels lie beside each other (`first_channels` of the
// first); with `doubled` 1 each of its pixels is met twice along both axes, up to height and width: cell (y, x) of the grid meets, at tap t, the pixel
// (position · step + origin + direction · t) / divisor, if that is whole and inside. Forward: step = stride, origin = -zeros before the image,
// direction = 1, divisor = 1; backward to the input: step = 1, origin = zeros, direction = -1, divisor = stride.
struct Windows {
    const element *image, *second;
    int batch, height, width, channels, first_channels, doubled;
    int grid_height, grid_width;
    int taps_y, taps_x;
    int step, origin_y, origin_x, direction, divisor;

    struct Cell { int line, y, x; };                            // first line of the sample's image in memory; -1: no cell
    struct Tap { const element* channel; int y, x, channels; };  // the channel in the first pixel of its tensor, or null, and the tensor's channels

    __device__ __forceinline__ int cells() const { return batch * grid_height * grid_width; }
    __device__ __forceinline__ int window() const { return taps_y * taps_x * channels; }
    __device__ __forceinline__ Cell cell(int index) const {
        if (index >= cells()) return {-1, 0, 0};
        int row = index / grid_width, sample = row / grid_height;
        return {sample * ((height + doubled) >> doubled), (row - sample * grid_height) * step + origin_y, (index - row * grid_width) * step + origin_x};
    }
    __device__ __forceinline__ Tap tap(int k) const {
        int index = k / channels, y = index / taps_x;
        int channel = k - index * channels;
        const element* place = channel < first_channels ? image + channel : second + (channel - first_channels);
        int own = channel < first_channels ? first_channels : channels - first_channels;
        return {y < taps_y ? place : nullptr, y * direction, (index - y * taps_x) * direction, own};
    }
    __device__ __forceinline__ const element* pixel(Cell cell, Tap tap) const {
        int y = cell.y + tap.y, x = cell.x + tap.x;
        if (divisor > 1) {
            if (y < 0 || x < 0 || y % divisor || x % divisor) return nullptr;
            y /= divisor;
            x /= divisor;
        }
        bool inside = cell.line >= 0 && tap.channel && (unsigned)y < (unsigned)height && (unsigned)x < (unsigned)width;
        int pixel = (cell.line + (y >> doubled)) * ((width + doubled) >> doubled) + (x >> doubled);
        return inside ? tap.channel + (long long)pixel * tap.channels : nullptr;
    }
};

// Lanes are cells, the depth runs over the elements of a window.
struct WindowsAlong {
    static constexpr bool ALONG = true;
    Windows windows;
    typedef Windows::Cell Fixed;
    typedef Windows::Tap Moving;
    __device__ __forceinline__ const element* anywhere() const { return windows.image; }
    __device__ __forceinline__ Fixed fix(int lane) const { return windows.cell(lane); }
    __device__ __forceinline__ Moving move(int k) const { return windows.tap(k); }
    __device__ __forceinline__ const element* at(Fixed cell, Moving tap) const { return windows.pixel(cell, tap); }
};

// Lanes are the elements of a window, the depth runs over the cells.
struct WindowsAcross {
    static constexpr bool ALONG = false;
    Windows windows;
    typedef Windows::Tap Fixed;
    typedef Windows::Cell Moving;
    __device__ __forceinline__ const element* anywhere() const { return windows.image; }
    __device__ __forceinline__ Fixed fix(int lane) const { return windows.tap(lane); }
    __device__ __forceinline__ Moving move(int k) const { return windows.cell(k); }
    __device__ __forceinline__ const element* at(Fixed tap, Moving cell) const { return windows.pixel(cell, tap); }
};

// A convolution's weight [outputs, taps, inputs] with inputs as lanes; the depth runs over taps, then outputs.
struct WeightAcross {
    static constexpr bool ALONG = false;
    const element* data;
    int outputs, taps, inputs;
    typedef int Fixed;
    typedef const element* Moving;
    __device__ __forceinline__ const element* anywhere() const { return data; }
    __device__ __forceinline__ Fixed fix(int lane) const { return lane; }
    __device__ __forceinline__ Moving move(int k) const {
        int tap = k / outputs, output = k - tap * outputs;
        return tap < taps ? data + ((size_t)output * taps + tap) * inputs : nullptr;
    }
    __device__ __forceinline__ const element* at(Fixed lane, Moving row) const { return row && lane < inputs ? row + lane : nullptr; }
};
