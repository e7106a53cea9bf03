// Modules, functions and launches. An image is the shared object that the emulated NVRTC made.
#include <dlfcn.h>
#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include "emulator/types.h"
#include "emulator/engine.h"

#include "driver.h"

namespace {

typedef std::vector<std::vector<unsigned char>> Arguments;

struct Module {
    const emulator::Library* library;
    std::map<std::string, void*> functions;
};

struct Function {
    const emulator::Library* library;
    const emulator::Entry* entry;
    int most_dynamic = 49152;

    int fixed_shared() const { return static_cast<int>(library->shared_end - library->shared_begin); }
};

Function& function_of(void* handle) { return *static_cast<Function*>(handle); }

// EMULATOR_TRACE=1: launches and time per kernel, and what was not freed, when the process ends.
struct Trace {
    struct Sum {
        unsigned long launches = 0;
        double seconds = 0;
    };
    std::map<std::string, Sum> kernels;

    ~Trace() {
        if (settings().trace) {
            for (auto& [name, sum] : kernels) {
                std::fprintf(stderr, "emulated driver: %9.1f ms %7lu launches  %s\n", sum.seconds * 1e3, sum.launches, name.c_str());
            }
            std::fprintf(stderr, "emulated driver: %lu allocations of device memory, %zu bytes were not freed\n", allocations(), used_memory());
            std::fprintf(stderr, "emulated driver: %zu bytes of pinned memory at most\n", most_pinned_memory());
            std::fprintf(stderr, "emulated driver: %zu bytes of pinned memory at the end\n", pinned_memory());
            std::fprintf(stderr, "emulated driver: %lu launches of graphs\n", graph_launches());
            std::fprintf(stderr, "emulated driver: %lu allocations between launches of graphs\n", allocations_between_graphs());
        }
    }
};

Trace trace;

// The size of an ELF file whose section headers stand at its end, as linkers write it.
size_t image_bytes(const Elf64_Ehdr& header) { return header.e_shoff + static_cast<size_t>(header.e_shnum) * header.e_shentsize; }

// dlopen wants a file: one per content, in the folder `images` beside the folder of this library.
void* open_image(const unsigned char* image, size_t bytes) {
    unsigned long long hash = 0xcbf29ce484222325ull;  // FNV-1a
    for (size_t at = 0; at < bytes; ++at) {
        hash = (hash ^ image[at]) * 0x100000001b3ull;
    }
    Dl_info info;
    dladdr(reinterpret_cast<void*>(&open_image), &info);
    std::string library = info.dli_fname, folder = library.substr(0, library.rfind('/')) + "/../images";
    mkdir(folder.c_str(), 0755);
    char name[17];
    std::snprintf(name, sizeof name, "%016llx", hash);
    std::string path = folder + "/" + name + ".so";
    if (access(path.c_str(), R_OK) != 0) {
        std::string temporary = path + "." + std::to_string(getpid());
        std::ofstream(temporary, std::ios::binary).write(reinterpret_cast<const char*>(image), static_cast<std::streamsize>(bytes));
        std::rename(temporary.c_str(), path.c_str());
    }
    return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

bool runs_here(unsigned architecture) {
    int major = static_cast<int>(architecture) / 100, minor = static_cast<int>(architecture) / 10 % 10;
    return major == settings().capability / 10 && minor <= settings().capability % 10;
}

Result check_launch(const Function& function, const unsigned* grid, const unsigned* block, unsigned dynamic_bytes) {
    const char* name = function.entry->name;
    unsigned long long threads = 1ull * block[0] * block[1] * block[2];
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[0] > 2147483647u || grid[1] > 65535 || grid[2] > 65535) {
        return refuse(INVALID_VALUE, "kernel %s: grid (%u, %u, %u)", name, grid[0], grid[1], grid[2]);
    }
    if (threads == 0 || threads > function.entry->most_threads || block[2] > 64) {
        return refuse(INVALID_VALUE, "kernel %s: block (%u, %u, %u), at most %u threads", name, block[0], block[1], block[2],
                      function.entry->most_threads);
    }
    if (grid[0] % function.entry->cluster != 0) {
        return refuse(INVALID_VALUE, "kernel %s: grid (%u, %u, %u) is not made of whole clusters of %u blocks", name, grid[0], grid[1], grid[2],
                      function.entry->cluster);
    }
    if (static_cast<int>(dynamic_bytes) > function.most_dynamic) {
        return refuse(INVALID_VALUE, "kernel %s: %u bytes of dynamic shared memory, the function's attribute allows %d", name, dynamic_bytes,
                      function.most_dynamic);
    }
    return SUCCESS;
}

// Whether EMULATOR_IDLE names the kernel.
bool is_idle(const std::string& name) {
    const std::string& idle = settings().idle;
    return idle == "*" || (!idle.empty() && name.compare(0, idle.size(), idle) == 0);
}

Result run(const Function& function, dim3 grid, dim3 block, unsigned dynamic_bytes, const Arguments& arguments) {
    const char* name = function.entry->name;
    if (Result result = check_arguments(name, arguments)) {
        return result;
    }
    std::vector<void*> pointers;
    for (auto& argument : arguments) {
        pointers.push_back(const_cast<unsigned char*>(argument.data()));
    }
    if (is_idle(name)) {
        return SUCCESS;
    }
    auto begin = std::chrono::steady_clock::now();
    bool succeeded = emulator::launch(*function.library, *function.entry, grid, block, dynamic_bytes, pointers.data());
    Trace::Sum& sum = trace.kernels[name];
    sum.launches++;
    sum.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return succeeded ? check_guards(name, arguments) : LAUNCH_FAILED;
}

}  // namespace

EXPORT int cuModuleLoadData(void** handle, const void* image) {
    MAY_FAIL;
    ENTER;
    auto* header = static_cast<const Elf64_Ehdr*>(image);
    if (std::memcmp(image, ELFMAG, SELFMAG) != 0) {
        return refuse(INVALID_PTX, "PTX is not emulated: load the cubin of the emulated NVRTC");
    }
    if (header->e_machine != EM_X86_64) {
        return refuse(NO_BINARY_FOR_GPU, "a cubin for a real device, not one of the emulated NVRTC");
    }
    void* opened = open_image(static_cast<const unsigned char*>(image), image_bytes(*header));
    auto* library = opened == nullptr ? nullptr : static_cast<const emulator::Library*>(dlsym(opened, "emulator_library"));
    if (library == nullptr) {
        return refuse(INVALID_IMAGE, "the image cannot be loaded: %s", dlerror());
    }
    if (!runs_here(library->architecture)) {
        return refuse(NO_BINARY_FOR_GPU, "an image for sm_%u on a device of sm_%d", library->architecture / 10, settings().capability);
    }
    *handle = new Module{library, {}};
    return lasting_error();
}

EXPORT int cuModuleLoad(void** handle, const char* path) {
    MAY_FAIL;
    std::ifstream file(path, std::ios::binary);
    std::string image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return image.size() < sizeof(Elf64_Ehdr) ? INVALID_IMAGE : cuModuleLoadData(handle, image.data());
}

// Shared objects stay loaded: work on its way may still use them.
EXPORT int cuModuleUnload(void* handle) {
    MAY_FAIL;
    delete static_cast<Module*>(handle);
    return SUCCESS;
}

EXPORT int cuModuleGetFunction(void** handle, void* module_handle, const char* name) {
    MAY_FAIL;
    ENTER;
    Module& module = *static_cast<Module*>(module_handle);
    for (unsigned at = 0; at < module.library->count; ++at) {
        const emulator::Entry& entry = module.library->entries[at];
        if (std::strcmp(entry.name, name) == 0) {
            void*& function = module.functions[name];
            if (function == nullptr) {
                function = new Function{module.library, &entry};
            }
            *handle = function;
            return lasting_error();
        }
    }
    return refuse(NOT_FOUND, "the module has no kernel %s", name);
}

EXPORT int cuFuncSetAttribute(void* handle, int which, int value) {
    MAY_FAIL;
    ENTER;
    if (which == 8) {  // MAX_DYNAMIC_SHARED_SIZE_BYTES
        if (value < 0 || value > device_attribute(97)) {
            return refuse(INVALID_VALUE, "kernel %s: %d bytes of dynamic shared memory, this device has %d", function_of(handle).entry->name, value,
                          device_attribute(97));
        }
        function_of(handle).most_dynamic = value;
    }
    return SUCCESS;
}

EXPORT int cuFuncGetAttribute(int* value, int which, void* handle) {
    MAY_FAIL;
    ENTER;
    const Function& function = function_of(handle);
    switch (which) {
        case 0: *value = static_cast<int>(function.entry->most_threads); break;  // MAX_THREADS_PER_BLOCK
        case 1: *value = function.fixed_shared(); break;                          // SHARED_SIZE_BYTES, of all kernels of the source together
        case 4: *value = 32; break;                                               // NUM_REGS
        case 8: *value = function.most_dynamic; break;                            // MAX_DYNAMIC_SHARED_SIZE_BYTES
        default: *value = 0;
    }
    return SUCCESS;
}

EXPORT int cuFuncSetCacheConfig(void*, int) { MAY_FAIL; return SUCCESS; }

EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads, size_t dynamic_bytes) {
    MAY_FAIL;
    ENTER;
    int by_threads = threads > 0 ? device_attribute(39) / threads : 0;
    int by_memory = device_attribute(81) / (static_cast<int>(dynamic_bytes) + function_of(handle).fixed_shared() + 1024);
    *blocks = by_threads < by_memory ? by_threads : by_memory;
    return SUCCESS;
}

EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* handle, int threads, size_t dynamic_bytes, unsigned) {
    MAY_FAIL;
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, dynamic_bytes);
}

EXPORT int cuLaunchKernel(void* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned dynamic_bytes, void* stream_handle, void** parameters, void** extra) {
    MAY_FAIL;
    ENTER;
    Function& function = function_of(handle);
    auto stream = find_stream(stream_handle);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (extra != nullptr) {
        return refuse(NOT_SUPPORTED, "kernel %s: parameters as one buffer are not emulated", function.entry->name);
    }
    unsigned grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
    if (Result result = check_launch(function, grid, block, dynamic_bytes)) {
        return result;
    }
    Arguments arguments;  // copied now, as on a device
    for (unsigned at = 0; at < function.entry->parameters; ++at) {
        auto* bytes = static_cast<unsigned char*>(parameters[at]);
        arguments.emplace_back(bytes, bytes + function.entry->sizes[at]);
    }
    Function copy = function;
    dim3 blocks(grid_x, grid_y, grid_z), threads(block_x, block_y, block_z);
    return enqueue(*stream, [=] { return run(copy, blocks, threads, dynamic_bytes, arguments); });
}
