#include "build.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

#include "source.h"

extern char** environ;

namespace {

// Flags that only the sanitized builds of the rig add, separated by spaces.
#ifndef EMULATOR_KERNEL_FLAGS
#define EMULATOR_KERNEL_FLAGS ""
#endif

// Kernels are compiled as CUDA is, not as C++ is: no fusing of products and sums that the source does not ask for, no exceptions; local variables that
// nobody set hold a pattern (-1.7e38 as a float) instead of what happens to be right.
const char* const COMPILE[] = {"-std=c++17", "-O2", "-march=x86-64-v3", "-fPIC", "-w", "-fvisibility=hidden", "-fno-gnu-unique",
                               "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno", "-fno-exceptions", "-fno-rtti",
                               "-ftrivial-auto-var-init=pattern"};

// The folder of the rig: it holds include/, lib/ (with this library) and kernels/.
std::string rig_folder() {
    Dl_info info;
    dladdr(reinterpret_cast<void*>(&rig_folder), &info);
    std::string library = info.dli_fname;
    size_t lib = library.rfind('/');
    return lib == std::string::npos ? ".." : library.substr(0, lib) + "/..";
}

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// Runs a program to its end with both outputs in the file `log`; its exit code.
int run(const std::vector<std::string>& words, const std::string& log) {
    std::vector<char*> arguments;
    for (const std::string& word : words) {
        arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    // A preloaded sanitizer is for the tested program, not for the compiler.
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        if (std::string(*variable).compare(0, 11, "LD_PRELOAD=") != 0) {
            environment.push_back(*variable);
        }
    }
    environment.push_back(nullptr);
    pid_t child = 0;
    int error = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        std::ofstream(log) << "cannot start " << words[0] << ": error " << error << "\n";
        return 127;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

std::vector<std::string> split(const std::string& text) {
    std::istringstream words(text);
    std::vector<std::string> list;
    for (std::string word; words >> word;) {
        list.push_back(word);
    }
    return list;
}

// FNV-1a, 64 bits.
std::string digest(const std::string& text) {
    unsigned long long hash = 0xcbf29ce484222325ull;
    for (unsigned char byte : text) {
        hash = (hash ^ byte) * 0x100000001b3ull;
    }
    char name[17];
    std::snprintf(name, sizeof name, "%016llx", hash);
    return name;
}

std::vector<std::string> preprocessor_flags(const std::string& root, const Options& options) {
    std::string architecture = std::to_string(options.architecture);
    std::vector<std::string> flags = {"-I" + root + "/include", "-include", "emulator.h", std::string("-D__global__=") + ENTRY_MARK,
                                      std::string("-D__launch_bounds__(...)=") + BOUNDS_MARK + "(__VA_ARGS__)",
                                      std::string("-D__cluster_dims__(...)=") + CLUSTER_MARK + "(__VA_ARGS__)", "-D__CUDACC__=1", "-D__CUDACC_RTC__=1", "-D__CUDA_ARCH__=" + architecture};
    if (options.specific) {
        flags.push_back("-D__CUDA_ARCH_FEAT_SM" + std::to_string(options.architecture / 10) + "_ALL=1");
    }
    flags.insert(flags.end(), options.flags.begin(), options.flags.end());
    return flags;
}

// Preprocesses, finds the entry points, compiles; files are called `base` plus an ending.
bool compile(const std::string& root, const std::string& base, const std::string& source, const std::string& name, const Options& options,
             std::string& log) {
    std::string log_file = base + ".log", preprocessed_file = base + ".ii";
    std::ofstream(base + ".cpp") << wrap(source, name);
    std::vector<std::string> words = {"g++", "-E", "-std=c++17", "-march=x86-64-v3", base + ".cpp", "-o", preprocessed_file};
    for (const std::string& flag : preprocessor_flags(root, options)) {
        words.push_back(flag);
    }
    int code = run(words, log_file);
    if (code == 0) {
        std::string text = read(preprocessed_file);
        std::vector<EntryPoint> entries = take_entry_points(text);
        std::ofstream(preprocessed_file) << text << library_definition(entries, options.architecture);
        words = {"g++", "-shared", preprocessed_file, "-o", base + ".so", "-L" + root + "/lib", "-lemulator", "-lm"};
        words.insert(words.begin() + 1, std::begin(COMPILE), std::end(COMPILE));
        for (const std::string& flag : split(EMULATOR_KERNEL_FLAGS)) {
            words.push_back(flag);
        }
        code = run(words, log_file);
    }
    log = read(log_file);
    for (const char* ending : {".cpp", ".ii", ".log"}) {
        std::remove((base + ending).c_str());
    }
    return code == 0;
}

}  // namespace

Built build(const std::string& source, const std::string& name, const Options& options) {
    std::string root = rig_folder(), key = name + '\0' + source + '\0' + std::to_string(options.architecture) + (options.specific ? "a" : "");
    for (const std::string& flag : options.flags) {
        key += '\0' + flag;
    }
    std::string folder = root + "/kernels", path = folder + "/" + digest(key) + ".so";
    mkdir(folder.c_str(), 0755);
    std::string image = read(path);
    if (!image.empty()) {
        return {true, image, ""};
    }
    // Another process, or another thread of this one, may compile the same: each has its own files, the last rename wins.
    std::string base = folder + "/" + digest(key) + "." + std::to_string(getpid()) + "." + std::to_string(gettid()), log;
    if (!compile(root, base, source, name, options, log)) {
        return {false, "", log};
    }
    image = read(base + ".so");
    std::rename((base + ".so").c_str(), path.c_str());
    return {true, image, log};
}
