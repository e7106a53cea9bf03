// How a compiled source lists its entry points; the emulated NVRTC appends a table that uses it to the source
// (../../compiler/source.cpp).
#pragma once

namespace emulator {

// Unpacks an array of pointers to arguments into a call, the form in which cuLaunchKernel receives them.
template <class... Parameters>
struct Signature {
    template <unsigned... at>
    struct Places {};

    template <unsigned count, unsigned... at>
    struct Count : Count<count - 1, count - 1, at...> {};

    template <unsigned... at>
    struct Count<0, at...> {
        typedef Places<at...> Type;
    };

    template <void (*kernel)(Parameters...), unsigned... at>
    static void unpack(void** arguments, Places<at...>) {
        (void)arguments;
        kernel(read<Parameters>(arguments[at])...);
    }

    // The driver's copy of an argument is aligned for no type in particular.
    template <class T>
    static T read(const void* argument) {
        T value;
        __builtin_memcpy(&value, argument, sizeof value);
        return value;
    }

    template <void (*kernel)(Parameters...)>
    static void call(void** arguments) {
        unpack<kernel>(arguments, typename Count<sizeof...(Parameters)>::Type());
    }

    static constexpr unsigned sizes[] = {static_cast<unsigned>(sizeof(Parameters))..., 0u};

    static constexpr unsigned parameters = sizeof...(Parameters);
};

template <class... Parameters>
Signature<Parameters...> signature(void (*)(Parameters...));

// The first of the arguments of __launch_bounds__.
constexpr unsigned first(unsigned threads, unsigned = 0, unsigned = 0) { return threads; }

// The first of the arguments of __cluster_dims__: clusters along y and z are not emulated.
template <unsigned x, unsigned y = 1, unsigned z = 1>
constexpr unsigned cluster_along_x() {
    static_assert(x >= 1 && x <= 8 && y == 1 && z == 1, "clusters of 1 to 8 blocks along x are emulated");
    return x;
}

}  // namespace emulator

extern "C" {
// The bounds of .bss, set by the linker: all static shared memory of a source, and nothing else of importance.
extern unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern unsigned char _end[] __attribute__((visibility("hidden")));
extern const emulator::Library emulator_library __attribute__((visibility("default")));
}
